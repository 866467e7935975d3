"""Rules about the limits on the length of an example: against the model, against each other, and
what padding costs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...params.arch.chatglm import ChatGLM
from ...params.arch.chatglm2 import ChatGLM2
from ...params.arch.transformer import Transformer
from ...text import counted
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import BAICHUAN2, CHATGLM, CHATGLM2, DATA, measured
from .sizes import example_tokens

TWO_LIMITS = (ChatGLM, ChatGLM2, Transformer)
"""Families whose rows have a limit for the prompt and one for the answer, and none for both."""


def family(it: Subject) -> type | None:
    """The family of the model, where its sizes are known."""
    return None if it.model is None else type(it.model.architecture)


@rule(
    "T201",
    "data.max_source_length",
    "data.max_length",
    severity="note",
    source="THUDM/chatglm2-6b, modeling_chatglm.py: the table of angles has seq_length rows",
    flags=Example({**DATA, "data.max_length": 8192}, model=BAICHUAN2),
    allows=Example({**DATA, "data.max_length": 4096}, model=BAICHUAN2),
)
def examples_may_be_longer_than_the_model_was_trained_for(it: Subject) -> Iterator[Found]:
    """Positions beyond those that a model was trained for are new to it: the answers there get
    worse. The published ChatGLM2 code has a table of angles of that many rows, and fails beyond it.

    超出训练长度的位置对模型是陌生的，那里的回答质量会下降。ChatGLM2 官方代码的旋转位置表只有这么多
    行，超出就会报错。
    """
    shape, train = it.shape, it.facts.train
    if shape is None or shape.max_positions is None or not it.get("launch.train"):
        return
    longest = None if train is None else train.longest
    allowed = example_tokens(it.run)
    if shape.encoder_decoder:
        allowed = max(it.get("data.max_source_length"), it.get("data.max_target_length"))
    length = allowed if longest is None else longest
    if min(length, allowed) <= shape.max_positions:
        return
    path = "data.max_length" if it.get("data.max_length") else "data.max_source_length"
    yield it.found(
        path,
        both(
            f"an example may have {allowed:,} tokens"
            + ("" if longest is None else f", the longest has {longest:,}")
            + f"; the model was made for {shape.max_positions:,}",
            f"一个样本最多 {allowed:,} 个词元"
            + ("" if longest is None else f"，最长的有 {longest:,} 个")
            + f"，而模型为 {shape.max_positions:,} 个位置训练",
        ),
        fix=both(
            "keep the limits within it, or take the long version of the model",
            "把上限控制在此范围内，或换用该模型的长文本版本",
        ),
        severity=None if longest is None else "warning",
    )


@rule(
    "T202",
    "data.max_length",
    severity="warning",
    source="foretune.data.chatglm2, after ptuning/main.py: the two limits alone are read",
    flags=Example({**DATA, "data.max_length": 512}, model=CHATGLM2),
    allows=Example({**DATA, "data.max_length": 512}, model=BAICHUAN2),
)
def one_limit_is_written_for_a_family_that_has_two(it: Subject) -> Iterator[Found]:
    """Rows of this family have a limit for the prompt and one for the answer. The limit for both
    together is not read, and the two others keep the values that they have.

    该模型族的数据分别限制提示和回答的长度，不读取两者合计的上限；那两个上限仍是各自的值。
    """
    limit = it.get("data.max_length")
    if limit is not None and family(it) in TWO_LIMITS and it.get("launch.train"):
        source, target = it.get("data.max_source_length"), it.get("data.max_target_length")
        yield it.found(
            "data.max_length",
            both(
                f"max_length {limit:,} has no effect; prompts may have "
                f"{source:,} tokens and answers {target:,}",
                f"max_length {limit:,} 不起作用；提示最多 {source:,} 个词元，"
                f"回答最多 {target:,} 个",
            ),
            fix=both(
                "write max_source_length and max_target_length",
                "改写 max_source_length 和 max_target_length",
            ),
        )


@rule(
    "T203",
    "data.max_source_length",
    "data.max_target_length",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/5820",
    flags=Example({**DATA, "data.max_length": 512, "data.max_target_length": 256}, model=BAICHUAN2),
    allows=Example({**DATA, "data.max_length": 512}, model=BAICHUAN2),
)
def both_kinds_of_limits_are_written(it: Subject) -> Iterator[Found]:
    """Where the limit of a whole example is written, it alone bounds what is trained; the limits of
    prompt and answer are left for evaluation and prediction.

    写了整个样本的上限时，训练只受它限制；提示和回答各自的上限只在评估和预测时起作用。
    """
    if it.get("data.max_length") is None or family(it) in TWO_LIMITS:
        return
    for path in ("data.max_source_length", "data.max_target_length"):
        reads = it.run.evaluates or it.get("launch.predict")
        if it.written(path) and it.get("launch.train") and not reads:
            name = path.partition(".")[2]
            yield it.found(
                path,
                both(
                    f"{name} {it.get(path):,} beside max_length {it.get('data.max_length'):,}",
                    f"{name} {it.get(path):,} 与 max_length {it.get('data.max_length'):,} 同时写出",
                ),
                fix=both("leave it out", "去掉它"),
            )


@rule(
    "T204",
    "data.history_column",
    "data.messages_column",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example(
        {**DATA, "data.protocol": "official", "data.history_column": "history"}, model=CHATGLM2
    ),
    allows=Example({**DATA, "data.history_column": "history"}, model=CHATGLM2),
)
def conversations_lose_their_newest_question(it: Subject) -> Iterator[Found]:
    """The authors' script keeps the beginning of a prompt that is too long. The beginning is the
    oldest round; the newest question and the cue to answer are what goes.

    官方脚本截断过长的提示时保留开头。开头是最早的轮次，被丢掉的恰恰是最新的问题和引出回答的标记。
    """
    columns = ("data.history_column", "data.messages_column")
    path = next((one for one in columns if it.get(one) is not None), None)
    if path is None or it.get("data.protocol") != "official" or not it.get("launch.train"):
        return
    train = it.facts.train
    measured_it = train is not None and train.tokens is not None
    lost = 0 if train is None else train.damage.questions_cut
    if family(it) not in (ChatGLM, ChatGLM2) or (measured_it and not lost):
        return
    yield it.found(
        path,
        both(
            "conversations under the official protocol, cut at their end"
            + (f": {counted(lost, 'row')} lose the question" if lost else ""),
            "在 official 协议下训练对话数据，从末尾截断"
            + (f"：{lost:,} 行丢失问题" if lost else ""),
        ),
        fix=both(
            "leave data.protocol out: then the oldest rounds go, and the question stays",
            "去掉 data.protocol：这样舍去的是最早的轮次，问题会保留",
        ),
        severity="warning" if lost else None,
    )


@rule(
    "T205",
    "data.history_column",
    "data.protocol",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/blob/main/ptuning/main.py",
    flags=Example(
        {**DATA, "data.protocol": "official", "data.history_column": "history"}, model=CHATGLM
    ),
    allows=Example({**DATA, "data.history_column": "history"}, model=CHATGLM),
)
def first_questions_are_marked_in_training_alone(it: Subject) -> Iterator[Found]:
    """With a history column the authors' script of ChatGLM-6B writes "[Round 0]" around a question
    that has no earlier rounds; its chat and its evaluation ask such a question bare. What is
    trained is then not what is asked later.

    有历史列时，ChatGLM-6B 的官方脚本会给没有历史的问题也加上“[Round 0]”，而对话和评估时这样的问题
    不加标记。训练的格式与之后使用的格式就不一致了。
    """
    official = it.get("data.protocol") == "official" and it.get("launch.train")
    if official and family(it) is ChatGLM and it.get("data.history_column") is not None:
        yield it.found(
            "data.history_column",
            both(
                "a history column under the official protocol of ChatGLM-6B",
                "ChatGLM-6B 在 official 协议下使用历史列",
            ),
            fix=both(
                "leave data.protocol out, unless the authors' figures are to be repeated",
                "去掉 data.protocol，除非要复现官方结果",
            ),
        )


@rule(
    "T206",
    "data.pad_to_max_length",
    severity="note",
    source="foretune.data.collate: a pad has no label, and costs what a token costs",
    flags=Example(
        {**DATA, "data.pad_to_max_length": True},
        facts=measured(100, tokens=9_000, padded_tokens=115_300),
    ),
    allows=Example(
        {**DATA, "data.pad_to_max_length": True},
        facts=measured(100, tokens=90_000, padded_tokens=115_300),
    ),
)
def most_of_what_is_computed_is_padding(it: Subject) -> Iterator[Found]:
    """Every example is filled up to both limits. What is learnt stays the same; time and memory of
    activations go to tokens that say nothing.

    每个样本都填充到两个上限之和。学到的内容不变，时间和激活显存却花在没有内容的词元上。
    """
    train = it.facts.train
    if not it.get("data.pad_to_max_length") or train is None:
        return
    if train.tokens is not None and train.padded_tokens:
        share = 1 - train.tokens / train.padded_tokens
        if share >= 0.5:
            yield it.found(
                "data.pad_to_max_length",
                both(
                    f"{100 * share:.0f} % of {train.padded_tokens:,} tokens an epoch are padding",
                    f"每轮 {train.padded_tokens:,} 个词元中有 {100 * share:.0f}% 是填充",
                ),
                fix=both(
                    "leave pad_to_max_length out: examples are then as long as the longest of "
                    "their batch",
                    "去掉 pad_to_max_length：样本只填充到同批最长的长度",
                ),
                change={"data.pad_to_max_length": False},
            )


@rule(
    "T207",
    "data.ignore_pad_in_loss",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example({**DATA, "data.ignore_pad_in_loss": False}),
    allows=Example(DATA),
)
def padding_is_trained(it: Subject) -> Iterator[Found]:
    """Pads then have a label, and the model is trained to write them; there are often more of them
    than tokens of answers. Under the official protocol of ChatGLM2-6B every position of the prompt
    is trained to be padding as well.

    填充位置也有标签，模型会去学习输出填充词元，而它们往往比回答的词元还多。
    在 ChatGLM2-6B 的 official 协议下，提示的每个位置也会被训练成填充词元。
    """
    if it.get("launch.train") and not it.get("data.ignore_pad_in_loss"):
        yield it.found(
            "data.ignore_pad_in_loss",
            both("ignore_pad_token_for_loss is false", "ignore_pad_token_for_loss 为 false"),
            fix=both("leave it out", "去掉它"),
            change={"data.ignore_pad_in_loss": True},
        )
