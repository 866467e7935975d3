"""Rules about what trains, and how fast."""

from __future__ import annotations

from collections.abc import Iterator

from ...plan.parameters import targeted
from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import CHATGLM, CHATGLM2

TOO_FAST = {"lora": 2e-3, "freeze": 2e-4, "full": 2e-4}
"""Learning rates above which a run of the method mostly ends in NaN or noise."""

TIED = ("lm_head", "output_layer", "embed_tokens", "word_embeddings", "wte")
"""What families call their embedding and their output layer."""

TOO_SLOW = {"ptuning": 1e-3, "lora": 1e-6}
"""And below which it mostly learns nothing within a usual number of steps."""


@rule(
    "M101",
    "optim.learning_rate",
    "method.name",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM3/issues/532",
    flags=Example({"launch.train": True, "method.name": "lora", "optim.learning_rate": 2e-2}),
    allows=Example(
        {"launch.train": True, "method.prefix.length": 128, "optim.learning_rate": 2e-2}
    ),
)
def the_learning_rate_is_another_methods(it: Subject) -> Iterator[Found]:
    """The prefix of P-Tuning v2 takes rates of about 1e-2; the same rate is hundreds of times too
    large for LoRA or for full weights, and ruins them within a few steps.

    P-Tuning v2 的前缀适合 1e-2 左右的学习率；同样的学习率对 LoRA 或全参数训练大了几百倍，几步之内就
    会把权重毁掉。
    """
    method, rate = it.get("method.name"), it.get("optim.learning_rate")
    fresh = it.get("model.fresh")  # nothing has been learnt that could be ruined
    if not it.get("launch.train") or fresh or rate <= TOO_FAST.get(method, rate):
        return
    usual = "1e-4 to 5e-4" if method == "lora" else "1e-5 to 5e-5"
    yield it.found(
        "optim.learning_rate",
        both(
            f"learning_rate = {rate:g} with the method {method}",
            f"方法为 {method}，学习率为 {rate:g}",
        ),
        fix=both(f"{usual} is usual", f"常用范围是 {usual.replace('to', '到')}"),
    )


@rule(
    "M102",
    "optim.learning_rate",
    "method.name",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/blob/main/ptuning/train.sh",
    flags=Example({"launch.train": True, "method.prefix.length": 128, "optim.learning_rate": 5e-5}),
    allows=Example(
        {"launch.train": True, "method.prefix.length": 128, "optim.learning_rate": 2e-2}
    ),
)
def the_learning_rate_moves_nothing(it: Subject) -> Iterator[Found]:
    """A prefix starts as random numbers and is far from the embeddings that a model knows; at the
    rates of full tuning it hardly leaves its start within a usual run.

    前缀从随机数开始，与模型熟悉的表示相距很远；用全参数训练的学习率，通常的步数内它几乎不动。
    """
    method, rate = it.get("method.name"), it.get("optim.learning_rate")
    if it.get("launch.train") and 0 < rate < TOO_SLOW.get(method, 0):
        usual = "5e-3 to 2e-2" if method == "ptuning" else "1e-4 to 5e-4"
        yield it.found(
            "optim.learning_rate",
            both(
                f"learning_rate = {rate:g} with the method {method}",
                f"方法为 {method}，学习率为 {rate:g}",
            ),
            fix=both(f"{usual} is usual", f"常用范围是 {usual.replace('to', '到')}"),
        )


@rule(
    "M103",
    "method.lora.targets",
    severity="error",
    source="https://github.com/huggingface/peft/issues/2368",
    flags=Example(
        {"method.name": "lora", "method.lora.targets": ["q_proj", "v_proj"]}, model=CHATGLM2
    ),
    allows=Example(
        {"method.name": "lora", "method.lora.targets": ["query_key_value"]}, model=CHATGLM2
    ),
)
def target_modules_match_nothing(it: Subject) -> Iterator[Found]:
    """A target names linear layers of the model by the end of their path. A name that no layer ends
    in adds no adapter; where none of them matches, PEFT refuses to start.

    target_modules 按路径结尾匹配模型的线性层。没有任何层以它结尾的名称不会加上适配器；全部不匹配
    时，PEFT 会拒绝启动。
    """
    targets, shape = it.get("method.lora.targets"), it.shape
    if it.get("method.name") != "lora" or shape is None or not targets:
        return
    lost = [one for one in targets if one != "all-linear" and not targeted(shape, [one])]
    if not lost:
        return
    there = sentence_list({one.name.rpartition(".")[2]: None for one in shape.linears})
    yield it.found(
        "method.lora.targets",
        both(
            f"no linear layer of this model ends in {sentence_list(lost)}",
            f"该模型没有以 {sentence_list(lost, language='zh')} 结尾的线性层",
        ),
        fix=both(f"take of {there}", f"可选：{there}"),
        severity="error" if len(lost) == len(targets) else "warning",
    )


@rule(
    "M104",
    "method.lora.alpha",
    "method.lora.rank",
    severity="note",
    source="arXiv:2106.09685 sec. 4.1",
    flags=Example({"method.name": "lora", "method.lora.rank": 64, "method.lora.alpha": 8.0}),
    allows=Example({"method.name": "lora", "method.lora.rank": 8, "method.lora.alpha": 32.0}),
)
def the_adapter_is_scaled_down(it: Subject) -> Iterator[Found]:
    """LoRA's update is multiplied by alpha / rank. Raising the rank and leaving alpha shrinks every
    update, as a smaller learning rate would.

    LoRA 的更新要乘以 alpha / rank。只增大秩而不改 alpha，会让每次更新都变小，等同于降低学习率。
    """
    rank, alpha = it.get("method.lora.rank"), it.get("method.lora.alpha")
    if it.get("method.name") == "lora" and alpha / rank < 0.5:
        yield it.found(
            "method.lora.alpha",
            both(
                f"alpha {alpha:g} / rank {rank} = {alpha / rank:.3g}",
                f"alpha {alpha:g} / 秩 {rank} = {alpha / rank:.3g}",
            ),
            fix=both(
                "give an alpha of one to two times the rank, and keep the ratio when the rank "
                "changes",
                "alpha 取秩的一到两倍，改变秩时保持这一比值",
            ),
        )


@rule(
    "M105",
    "method.lora.rank",
    severity="error",
    source="arXiv:2106.09685 sec. 4.1: a product of rank r cannot be larger than the matrix",
    flags=Example({"method.name": "lora", "method.lora.rank": 8192}, model=CHATGLM2),
    allows=Example({"method.name": "lora", "method.lora.rank": 64}, model=CHATGLM2),
)
def the_rank_is_larger_than_the_matrix(it: Subject) -> Iterator[Found]:
    """An adapter of a rank above the smaller side of its matrix has more parameters than training
    the matrix itself, and can express nothing more.

    适配器的秩超过矩阵较短的一边时，参数比直接训练该矩阵还多，却不能表达更多东西。
    """
    rank, targets, shape = it.get("method.lora.rank"), it.get("method.lora.targets"), it.shape
    if it.get("method.name") != "lora" or shape is None or not targets:
        return
    sides = [min(one.inputs, one.outputs) for one in targeted(shape, targets)]
    if sides and rank > min(sides):
        yield it.found(
            "method.lora.rank",
            both(
                f"rank {rank:,}, and the smallest side of a target is {min(sides):,}",
                f"秩为 {rank:,}，而目标矩阵最短的一边只有 {min(sides):,}",
            ),
            fix=both("ranks of 8 to 64 are usual", "常用的秩为 8 到 64"),
        )


@rule(
    "M106",
    "method.prefix.projection",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/issues/276",
    flags=Example({"method.prefix.length": 128, "method.prefix.projection": True}, model=CHATGLM2),
    allows=Example({"method.prefix.length": 128}, model=CHATGLM2),
)
def the_projection_is_far_larger_than_the_prefix(it: Subject) -> Iterator[Found]:
    """With the projection a two-layer network is trained that makes the prefix; it has many times
    the prefix's parameters, and memory and checkpoints with them.

    打开投影后训练的是生成前缀的两层网络，参数量是前缀本身的许多倍，显存和检查点也随之变大。
    """
    length, shape = it.get("method.prefix.length"), it.shape
    if not (it.get("method.prefix.projection") and length and shape is not None):
        return
    made, direct = (
        sum(one.num_parameters for one in shape.prefix_weights(length, projection=projection))
        for projection in (True, False)
    )
    yield it.found(
        "method.prefix.projection",
        both(
            f"{made:,} trained parameters in place of {direct:,}",
            f"可训练参数为 {made:,}，不用投影时只有 {direct:,}",
        ),
        fix=both(
            "leave prefix_projection out, as the authors' scripts do, unless training is unstable",
            "像官方脚本那样去掉 prefix_projection，除非训练不稳定",
        ),
    )


@rule(
    "M107",
    "method.name",
    severity="error",
    source="https://github.com/zai-org/ChatGLM-6B/blob/main/ptuning/main.py",
    flags=Example({"launch.train": True, "method.name": "ptuning"}),
    allows=Example({"launch.train": True, "method.prefix.length": 128}),
)
def a_prefix_has_no_length(it: Subject) -> Iterator[Found]:
    """P-Tuning v2 trains so many positions in every layer as pre_seq_len says; there is no default,
    and the authors' script without it trains every weight.

    P-Tuning v2 在每一层训练 pre_seq_len 个位置；它没有默认值，官方脚本不写它时会训练全部权重。
    """
    if it.get("method.name") == "ptuning" and it.get("method.prefix.length") is None:
        yield it.found(
            "method.name",
            both(
                "method.name is ptuning without pre_seq_len", "方法为 ptuning，却没有 pre_seq_len"
            ),
            fix=both("write pre_seq_len 128", "写上 pre_seq_len 128"),
        )


@rule(
    "M108",
    "batch.gradient_checkpointing_kwargs",
    "method.prefix.length",
    severity="error",
    source="torch 2.13, utils/checkpoint.py: reentrant checkpointing sees positional inputs alone",
    flags=Example(
        {
            "launch.train": True,
            "method.prefix.length": 128,
            "batch.gradient_checkpointing": True,
            "batch.gradient_checkpointing_kwargs": {"use_reentrant": True},
        }
    ),
    allows=Example(
        {
            "launch.train": True,
            "method.prefix.length": 128,
            "batch.gradient_checkpointing": True,
            "batch.gradient_checkpointing_kwargs": {"use_reentrant": False},
        }
    ),
)
def the_prefix_gets_no_gradient(it: Subject) -> Iterator[Found]:
    """Reentrant checkpointing hands gradients to the positional inputs of a layer and to nothing
    else. A prefix comes in as the cache, so nothing of it would train; foretune refuses.

    可重入的检查点只把梯度传给层的位置参数。前缀是以缓存的形式传入的，因此完全得不到训
    练；foretune 会拒绝。
    """
    how: dict[str, object] = it.get("batch.gradient_checkpointing_kwargs") or {}
    on = it.get("batch.gradient_checkpointing") and how.get("use_reentrant")
    if it.get("launch.train") and it.get("method.name") == "ptuning" and on:
        yield it.found(
            "batch.gradient_checkpointing_kwargs",
            both("use_reentrant with a prefix", "训练前缀时打开了 use_reentrant"),
            fix=both('write {"use_reentrant": false}', '写 {"use_reentrant": false}'),
        )


@rule(
    "M110",
    "precision.quantize",
    "method.name",
    severity="note",
    source="https://github.com/huggingface/peft/issues/2321",
    flags=Example({"launch.train": True, "method.name": "lora", "precision.quantize": 4}),
    allows=Example({"launch.train": True, "method.prefix.length": 128, "precision.quantize": 4}),
)
def the_adapter_learns_beside_rounded_weights(it: Subject) -> Iterator[Found]:
    """The adapter makes up for the rounding of the packed base as well. Merged into the full
    weights it meets others than it was trained on; merged and packed again, a small update is
    rounded away. The answers then differ from those before merging.

    适配器同时在弥补量化基座的舍入误差。合并到完整权重时，它遇到的不是训练时的权重；合并后再量化，较
    小的更新会被舍掉。因此合并前后的回答会有差别。
    """
    bits = it.get("precision.quantize")
    if it.get("launch.train") and it.get("method.name") == "lora" and bits is not None:
        yield it.found(
            "precision.quantize",
            both(f"LoRA on a base in {bits} bits", f"在 {bits} 位基座上做 LoRA"),
            fix=both(
                "evaluate what you will use: the merged model, or base and adapter apart",
                "评估实际要用的形式：合并后的模型，或基座加适配器",
            ),
        )


@rule(
    "M111",
    "method.lora.targets",
    "peft.modules_to_save",
    severity="warning",
    source="https://github.com/huggingface/peft/issues/2018",
    flags=Example(
        {"launch.train": True, "method.name": "lora", "method.lora.targets": ["lm_head"]},
        model=CHATGLM,
    ),
    allows=Example(
        {"launch.train": True, "method.name": "lora", "method.lora.targets": ["query_key_value"]},
        model=CHATGLM,
    ),
)
def one_of_two_tied_matrices_is_tuned(it: Subject) -> Iterator[Found]:
    """Embedding and output layer are one tensor in this model. An adapter on one of them is merged
    into both; two copies of them drift apart, and a merge keeps one.

    该模型的词嵌入和输出层是同一个张量。只给其中一个加适配器，合并时两者都会改变；各存一份则会逐渐分
    离，合并后只留下一份。
    """
    if it.shape is None or not it.shape.tied or it.get("method.name") != "lora":
        return
    for path in ("method.lora.targets", "peft.modules_to_save"):
        named = [one for one in it.get(path) or () if str(one).rpartition(".")[2] in TIED]
        if named and it.get("launch.train") and not it.get("peft.ensure_weight_tying"):
            told = sentence_list(named)
            yield it.found(
                path,
                both(
                    f"{told} of a model whose embedding is its output layer",
                    f"模型的词嵌入就是输出层，却单独训练 {told}",
                ),
                fix=both(
                    "leave it out, or write ensure_weight_tying true in the adapter's config",
                    "去掉它，或在适配器配置中写 ensure_weight_tying true",
                ),
            )


@rule(
    "M109",
    "method.prefix.length",
    "method.lora.rank",
    "method.lora.targets",
    "method.lora.alpha",
    "method.lora.dropout",
    "method.freeze.layers",
    "method.freeze.modules",
    "method.freeze.extra",
    severity="warning",
    source="foretune, tune: one method trains",
    flags=Example(
        {"launch.train": True, "method.prefix.length": 128, "method.lora.rank": 8}, model=CHATGLM2
    ),
    allows=Example({"launch.train": True, "method.prefix.length": 128}, model=CHATGLM2),
)
def settings_of_two_methods_are_written(it: Subject) -> Iterator[Found]:
    """A run trains a prefix, adapters, some blocks or every weight, one of them; the settings of
    the others have no effect.

    一次训练只用一种方法：前缀、适配器、若干块或全部权重；其他方法的设置不起作用。
    """
    lora = [f"method.lora.{name}" for name in ("rank", "targets", "alpha", "dropout")]
    freeze = [f"method.freeze.{name}" for name in ("layers", "modules", "extra")]
    owners = {"ptuning": ["method.prefix.length"], "lora": lora, "freeze": freeze}
    method = it.get("method.name")
    others = [
        path
        for name, paths in owners.items()
        if name != method
        for path in paths
        if it.written(path) and it.get(path) is not None
    ]
    if it.get("launch.train") and others:
        yield it.found(
            others[0],
            both(
                f"{sentence_list(others)} beside the method {method}: no effect",
                f"方法为 {method}，{sentence_list(others, language='zh')} 不起作用",
            ),
            fix=both("leave it out, or write method.name", "去掉它，或写明 method.name"),
        )
