"""Rules about the answers that evaluation and prediction let the model write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...facts import DataFacts
from ...params.generate import METRICS
from ...text import number, sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .beside import GENERATION, document, example, model_keys
from .evaluation import BEST, compares
from .examples import CHATGLM2, DATA, measured, of_file
from .record import EVALUATED, steps_of
from .rows import MANY, part

PREDICTS = {
    "launch.predict": True, "data.test": "dev.json", "generate.enabled": True,
    "data.max_source_length": 64, "data.max_target_length": 128,
}  # fmt: skip
"""A run that answers the rows of a file."""

SAMPLING = {"generate.top_p": 1.0, "generate.temperature": 1.0, "generate.top_k": None}
CHANGES = {
    "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "length_penalty": 1.0, "min_length": 0,
    "encoder_repetition_penalty": 1.0, "min_new_tokens": None,
}  # fmt: skip
"""What a generation config may hold that no setting of a run overrides, and how it is off."""

MANY_ANSWERS = 20_000
"""Answers from which on writing them takes longer than most training."""


def generates(it: Subject) -> bool:
    """Whether the run lets the model write answers."""
    return bool(it.get("launch.predict") or (it.run.evaluates and it.get("generate.enabled")))


def prompts(it: Subject) -> list[DataFacts]:
    """The files whose prompts it answers, as far as their tokens are known."""
    found = [it.facts.test if it.get("launch.predict") else None]
    found += [it.facts.validation if it.get("generate.enabled") else None]
    return [one for one in found if one is not None and one.tokens is not None]


@rule(
    "G101",
    "generate.max_length",
    severity="warning",
    source="foretune.train.conduct: refuse_no_room",
    flags=Example({**PREDICTS, "generate.max_length": 64}, model=CHATGLM2),
    allows=Example({**PREDICTS, "generate.max_length": 193}, model=CHATGLM2),
)
def prompts_leave_no_room_for_answers(it: Subject) -> Iterator[Found]:
    """Generation counts its length from the start of the prompt. A prompt that is as long as the
    limit gets no answer, and foretune refuses it.

    生成长度从提示词开头算起。与上限一样长的提示得不到任何回答，foretune 会拒绝。
    """
    limit, source = it.get("generate.max_length"), it.get("data.max_source_length")
    decoder = it.shape is not None and it.shape.encoder_decoder
    if limit is None or not it.written("generate.max_length") or not generates(it) or decoder:
        return
    longest = max((one.longest or 0 for one in prompts(it)), default=None)
    if limit <= (source if longest is None else longest):
        yield it.found(
            "generate.max_length",
            both(
                f"generation_max_length {limit:,}, and prompts may have {source:,} tokens"
                if longest is None
                else f"generation_max_length {limit:,}, and the longest prompt has {longest:,} "
                "tokens",
                f"generation_max_length 为 {limit:,}，而提示最多 {source:,} 个词元"
                if longest is None
                else f"generation_max_length 为 {limit:,}，而最长的提示有 {longest:,} 个词元",
            ),
            fix=both(
                "leave it out: both limits of the data fit then", "去掉它：默认足够容纳两个上限"
            ),
            severity=None if longest is None else "error",
        )


@rule(
    "G102",
    "generate.max_length",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example({**PREDICTS, "generate.max_length": 100}, model=CHATGLM2),
    allows=Example({**PREDICTS, "generate.max_length": 193}, model=CHATGLM2),
)
def answers_end_before_their_references(it: Subject) -> Iterator[Found]:
    """Behind a long prompt the answer has less room than its reference, and BLEU and ROUGE count
    what is missing.

    提示较长时，留给回答的空间比参考答案还短，BLEU 和 ROUGE 会把缺少的部分算作错误。
    """
    limit, source = it.get("generate.max_length"), it.get("data.max_source_length")
    target = it.get("data.max_eval_target_length") or it.get("data.max_target_length")
    decoder = it.shape is not None and it.shape.encoder_decoder
    room = (limit or 0) - (0 if decoder else source)
    if it.written("generate.max_length") and generates(it) and 0 < room < target:
        yield it.found(
            "generate.max_length",
            both(
                f"{room:,} tokens are left for an answer behind the longest prompt, and a "
                f"reference may have {target:,}",
                f"最长的提示之后只剩 {room:,} 个词元给回答，而参考答案最多 {target:,} 个",
            ),
            fix=both(f"write {limit - room + target + 1:,}", f"改为 {limit - room + target + 1:,}"),
        )


@rule(
    "G103",
    "generate.top_p",
    "generate.temperature",
    "generate.top_k",
    severity="note",
    source="transformers 5.23.0, generation/configuration_utils.py: it warns of them",
    flags=Example({**PREDICTS, "generate.temperature": 0.7}),
    allows=Example({**PREDICTS, "generate.temperature": 0.7, "generate.do_sample": True}),
)
def drawing_is_set_and_nothing_is_drawn(it: Subject) -> Iterator[Found]:
    """Without sampling the most probable token is taken each time, whatever temperature, top_p and
    top_k say.

    不采样时每次都取概率最高的词元，与 temperature、top_p、top_k 无关。
    """
    if it.get("generate.do_sample") or not generates(it):
        return
    for path, off in SAMPLING.items():
        if it.written(path) and it.get(path) != off:
            name = path.partition(".")[2]
            yield it.found(
                path,
                both(
                    f"{name} {number(it.get(path))} without sampling",
                    f"没有采样，{name} {number(it.get(path))} 不起作用",
                ),
                fix=both(
                    "leave it out, or set generate.do_sample", "去掉它，或打开 generate.do_sample"
                ),
            )


@rule(
    "G104",
    "generate.temperature",
    "generate.top_p",
    "generate.top_k",
    severity="note",
    source="transformers 5.23.0, generation/logits_process.py: logits are divided by it",
    flags=Example({**PREDICTS, "generate.do_sample": True, "generate.temperature": 0.001}),
    allows=Example({**PREDICTS, "generate.do_sample": True, "generate.temperature": 0.7}),
)
def drawing_leaves_nothing_to_draw(it: Subject) -> Iterator[Found]:
    """All probability is on one token then, which is what taking the most probable one does without
    dividing logits by next to nothing; in half precision that overflows.

    此时全部概率都落在一个词元上，与直接取最可能的词元相同；而 logits 除以接近零的数，在半精度下会溢
    出。
    """
    if not it.get("generate.do_sample") or not generates(it):
        return
    least = {"generate.temperature": 0.05, "generate.top_p": 0.01, "generate.top_k": 2}
    for path, limit in least.items():
        value = it.get(path)
        if value and value < limit and it.written(path):
            name = path.partition(".")[2]
            yield it.found(
                path,
                both(f"{name} {number(value)} with sampling", f"采样时 {name} 为 {number(value)}"),
                fix=both(
                    "leave sampling out (generate.do_sample false)",
                    "关闭采样（generate.do_sample false）",
                ),
            )


@rule(
    "G105",
    "generate.do_sample",
    "record.best_metric",
    severity="warning",
    source="foretune.evaluate.generate: sampled answers change from checkpoint to checkpoint",
    flags=Example(
        {**BEST, "record.best_metric": "bleu-4", "generate.enabled": True,
         "generate.do_sample": True}
    ),
    allows=Example({**BEST, "record.best_metric": "bleu-4", "generate.enabled": True}),
)  # fmt: skip
def the_best_is_found_by_lot(it: Subject) -> Iterator[Found]:
    """Scores of answers that were drawn at random differ from draw to draw; the best checkpoint may
    be the one with the luckiest. The authors' script always draws.

    随机抽取的回答，得分每次都不同，所谓最好的检查点可能只是运气最好。官方脚本总是采样。
    """
    metric = (it.get("record.best_metric") or "loss").removeprefix("eval_")
    if compares(it) and generates(it) and metric in METRICS and it.get("generate.do_sample"):
        yield it.found(
            "generate.do_sample",
            both(
                f"metric_for_best_model {metric} of answers that are drawn at random",
                f"metric_for_best_model 为 {metric}，而回答是随机抽取的",
            ),
            fix=both(
                "set generate.do_sample to false, or compare the loss",
                "把 generate.do_sample 设为 false，或按损失比较",
            ),
        )


@rule(
    "G106",
    "generate.num_beams",
    "generate.do_sample",
    severity="note",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1314",
    flags=Example({**PREDICTS, "generate.num_beams": 4, "generate.do_sample": True}),
    allows=Example({**PREDICTS, "generate.num_beams": 4}),
)
def beams_are_drawn_at_random(it: Subject) -> Iterator[Found]:
    """With sampling the beams are filled by drawing, so the search finds no most probable answer
    and the scores change with the seed. The authors' script always samples.

    打开采样时，束搜索的候选是随机抽取的：找到的不是概率最高的回答，得分随种子变化。官方脚本总是采
    样。
    """
    beams = it.get("generate.num_beams") or 1
    if beams > 1 and it.get("generate.do_sample") and generates(it):
        yield it.found(
            "generate.num_beams",
            both(f"num_beams {beams} with sampling", f"num_beams 为 {beams}，同时打开采样"),
            fix=both("set generate.do_sample to false", "把 generate.do_sample 设为 false"),
        )


@rule(
    "G107",
    "generate.enabled",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/issues/374",
    flags=Example({**DATA, "generate.enabled": True}),
    allows=Example({**EVALUATED, "generate.enabled": True}),
)
def nothing_is_generated_in_a_run_without_evaluation(it: Subject) -> Iterator[Found]:
    """predict_with_generate says how evaluation and prediction are done, and asks for neither.

    predict_with_generate 只说明评估和预测怎么做，并不会触发它们。
    """
    asks = it.run.evaluates or it.get("launch.predict")
    if it.written("generate.enabled") and it.get("generate.enabled") and not asks:
        yield it.found(
            "generate.enabled",
            both(
                "predict_with_generate without evaluation or prediction",
                "写了 predict_with_generate，但既不评估也不预测",
            ),
            fix=both(
                "write eval_strategy, do_eval or do_predict as well, or leave it out",
                "同时写上 eval_strategy、do_eval 或 do_predict，或去掉它",
            ),
        )


@rule(
    "G108",
    "launch.predict",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example({"launch.predict": True, "data.test": "dev.json"}),
    allows=Example(PREDICTS),
)
def predictions_are_asked_for_without_generation(it: Subject) -> Iterator[Found]:
    """The authors' script then computes a loss alone and writes no answer. foretune predicts by
    generating in any case.

    这样官方脚本只计算损失，不写出任何回答。foretune 的预测总是生成回答。
    """
    if it.get("launch.predict") and not it.get("generate.enabled"):
        yield it.found(
            "launch.predict",
            both(
                "do_predict without predict_with_generate",
                "有 do_predict，没有 predict_with_generate",
            ),
            fix=both("write predict_with_generate", "写上 predict_with_generate"),
        )


@rule(
    "G109",
    "data.max_eval_target_length",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/1494",
    flags=Example(
        PREDICTS,
        facts=replace(
            measured(9), test=of_file("dev.json", 100, tokens=9, damage={"answers_cut": 30})
        ),
    ),
    allows=Example(PREDICTS, facts=replace(measured(9), test=of_file("dev.json", 100, tokens=9))),
)
def references_are_cut(it: Subject) -> Iterator[Found]:
    """What is cut from a reference is not scored: a model that stops at the same place gets the
    better figure, and figures under other limits do not compare.

    参考答案被截掉的部分不参与评分：恰好在同一处停下的模型得分更高；上限不同的得分也不能比较。
    """
    for facts in (it.facts.validation, it.facts.test):
        if facts is None or facts.tokens is None or not (cut := facts.damage.answers_cut):
            continue
        target = it.get("data.max_eval_target_length") or it.get("data.max_target_length")
        over, rows = facts.damage.answer_over, part(cut, facts)
        yield it.found(
            "data.max_eval_target_length",
            both(
                f"{facts.file}: {rows.en} lose the end of their reference at {target:,} tokens",
                f"{facts.file}：{rows.zh}的参考答案在 {target:,} 个词元处被截断",
            ),
            fix=both(
                f"write val_max_target_length {target + over:,}",
                f"写 val_max_target_length {target + over:,}",
            ),
            severity="warning" if cut >= MANY * facts.examples else None,
        )


@rule(
    "G110",
    "data.max_eval_target_length",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example({**PREDICTS, "data.max_eval_target_length": 64}),
    allows=Example({**PREDICTS, "data.max_eval_target_length": 128}),
)
def references_may_be_shorter_than_what_is_trained(it: Subject) -> Iterator[Found]:
    """The model learns answers up to max_target_length and is scored against references that end
    before.

    模型按 max_target_length 学习回答，而评分所用的参考答案更早被截断。
    """
    evaluated, trained = it.get("data.max_eval_target_length"), it.get("data.max_target_length")
    reads = it.run.evaluates or it.get("launch.predict")
    if it.written("data.max_eval_target_length") and evaluated and reads and evaluated < trained:
        yield it.found(
            "data.max_eval_target_length",
            both(
                f"val_max_target_length {evaluated:,} below max_target_length {trained:,}",
                f"val_max_target_length {evaluated:,} 小于 max_target_length {trained:,}",
            ),
            fix=both(
                "leave it out: it follows max_target_length",
                "去掉它：默认与 max_target_length 相同",
            ),
        )


@rule(
    "G111",
    "generate.config",
    severity="note",
    source="foretune.evaluate.generate: what a run does not set stays as the model's own config",
    flags=Example(PREDICTS, documents=(example(GENERATION, repetition_penalty=1.05, top_k=5),)),
    allows=Example(PREDICTS, documents=(example(GENERATION, repetition_penalty=1.0, top_k=5),)),
)
def the_models_own_settings_change_the_scores(it: Subject) -> Iterator[Found]:
    """generation_config.json comes with a chat model and holds with or without sampling. A penalty
    on repetition also bears on words that the reference repeats.

    generation_config.json 随对话模型一起发布，无论是否采样都生效。重复惩罚也会压低参考答案里本来就
    重复的词。
    """
    generation = document(it, GENERATION)
    if generation is None or not generates(it):
        return
    on = {key: generation.keys[key] for key in CHANGES if key in generation.keys}
    on = {key: value for key, value in on.items() if value not in (None, CHANGES[key])}
    if on:
        shown = sentence_list(f"{key} {value}" for key, value in on.items())
        yield it.found(
            "generate.config",
            both(f"{shown} in {generation.file}", f"{generation.file} 中有 {shown}"),
            fix=both(
                "name a generation config without them (generation_config), where scores are to be "
                "compared",
                "若要比较得分，用 generation_config 指定不含这些设置的生成配置",
            ),
            origin=generation.origin(next(iter(on))),
        )


@rule(
    "G112",
    "data.max_eval_rows",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/3398",
    flags=Example(
        {**EVALUATED, "record.eval_strategy": "steps", "record.eval_steps": 50.0,
         "generate.enabled": True},
        facts=replace(measured(40_000), validation=of_file("dev.json", 1070)),
    ),
    allows=Example(
        {**EVALUATED, "generate.enabled": True},
        facts=replace(measured(40_000), validation=of_file("dev.json", 1070)),
    ),
)  # fmt: skip
def evaluations_write_very_many_answers(it: Subject) -> Iterator[Found]:
    """An answer takes one pass of the model for each of its tokens, a row in training one forward
    and one backward pass in all. Evaluating this often takes longer than training.

    生成一个回答，每个词元都要跑一次模型；训练一行总共只有一次前向和一次反向。这样频繁地评估会比训练
    本身更久。
    """
    made, validation = it.forecast.steps, it.facts.validation
    if made is None or validation is None or not it.get("generate.enabled"):
        return
    if not it.run.evaluates_on_the_way:
        return
    times = made.passes
    if it.get("record.eval_strategy") == "steps":
        path = "record.eval_steps" if it.get("record.eval_steps") else "record.log_steps"
        times = made.steps / (steps_of(it, path) or made.steps)
    answers = int(times) * validation.examples
    if answers >= MANY_ANSWERS:
        yield it.found(
            "data.max_eval_rows",
            both(
                f"{int(times):,} evaluations of {validation.examples:,} rows write {answers:,} "
                f"answers, beside {made.steps * made.total_batch:,} rows trained",
                f"评估 {int(times):,} 次、每次 {validation.examples:,} 行，共生成 {answers:,} 个；"
                f"而训练共 {made.steps * made.total_batch:,} 行",
            ),
            fix=both(
                "write max_eval_samples 100, or evaluate less often",
                "写 max_eval_samples 100，或减少评估次数",
            ),
        )


@rule(
    "G113",
    "generate.max_length",
    severity="note",
    source="THUDM/chatglm2-6b, modeling_chatglm.py: the table of angles has seq_length rows",
    flags=Example({**PREDICTS, "generate.max_length": 40000}, model=CHATGLM2),
    allows=Example({**PREDICTS, "generate.max_length": 2048}, model=CHATGLM2),
)
def answers_may_run_beyond_what_the_model_was_trained_for(it: Subject) -> Iterator[Found]:
    """Positions beyond those that it was trained for are new to the model, and what it writes there
    gets worse; the published ChatGLM2 code fails.

    超出训练长度的位置对模型是陌生的，写到那里质量会下降；ChatGLM2 的官方代码会报错。
    """
    limit, shape = it.get("generate.max_length"), it.shape
    if shape is None or shape.max_positions is None or not generates(it) or limit is None:
        return
    if it.written("generate.max_length") and limit > shape.max_positions:
        yield it.found(
            "generate.max_length",
            both(
                f"generation_max_length {limit:,}; the model was made for {shape.max_positions:,}",
                f"generation_max_length 为 {limit:,}，而模型为 {shape.max_positions:,} 个位置训练",
            ),
            fix=both("leave it out", "去掉它"),
        )


@rule(
    "G114",
    "config.use_cache",
    severity="warning",
    source="https://github.com/huggingface/trl/pull/3891",
    flags=Example(PREDICTS, model={**CHATGLM2, "use_cache": False}),
    allows=Example(PREDICTS, model={**CHATGLM2, "use_cache": True}),
)
def every_token_is_computed_again_and_again(it: Subject) -> Iterator[Found]:
    """Scripts that train with gradient checkpointing often switch the cache off and save that into
    config.json. Generation then goes through the whole text again for every token.

    使用梯度检查点训练的脚本常把缓存关掉，并随模型存进 config.json。之后生成每个词元都要把全文重新算
    一遍。
    """
    generation = document(it, GENERATION)
    told_otherwise = generation is not None and generation.keys.get("use_cache") is True
    if model_keys(it).get("use_cache") is False and generates(it) and not told_otherwise:
        yield it.found(
            "config.use_cache",
            both("use_cache is false in the model's config", "模型配置中 use_cache 为 false"),
            fix=both('write "use_cache": true', '写 "use_cache": true'),
            change={"config.use_cache": True},
        )
