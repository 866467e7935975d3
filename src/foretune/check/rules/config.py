"""Rules about the sizes in a model's config.json: keys that contradict each other, or the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...params.arch.baichuan import Baichuan
from ...params.arch.chatglm import ChatGLM
from ...params.arch.chatglm2 import ChatGLM2
from ...params.arch.llama3 import ModelArgs
from ...params.arch.transformer import Transformer
from ...plan.forecast import forecast
from ...plan.version import release
from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .beside import MODEL, document, example, model_keys
from .examples import BAICHUAN2, CHATGLM, CHATGLM2, DATA, LLAMA3, measured
from .lengths import family

LAYERS = 28
"""Blocks that the residual of ChatGLM-6B is scaled for."""


@rule(
    "A101",
    "config.gradient_checkpointing",
    severity="note",
    source="baichuan-inc/Baichuan2-13B-Base, modeling_baichuan.py: a list of one is true",
    flags=Example(model={**BAICHUAN2, "gradient_checkpointing": [False]}),
    allows=Example(model={**BAICHUAN2, "gradient_checkpointing": False}),
)
def a_list_of_false_is_true(it: Subject) -> Iterator[Found]:
    """The published code takes a list that is not empty for true, so it recomputes activations in
    every training, less memory and more time than the file seems to say. foretune reads the run's
    setting and not this key.

    官方代码把非空列表当作真，因此每次训练都会重新计算激活：占用的显存比文件看上去的少，时间更长。
    foretune 只看本次运行的设置，不读取该键。
    """
    value = it.get("config.gradient_checkpointing") if family(it) is Baichuan else None
    if isinstance(value, list):
        yield it.found(
            "config.gradient_checkpointing",
            both(f"gradient_checkpointing is {value}", f"gradient_checkpointing 为 {value}"),
            fix=both(
                "say what is meant in the run: --gradient_checkpointing true or false",
                "在运行参数中写明：--gradient_checkpointing true 或 false",
            ),
        )


@rule(
    "A102",
    "config.transformers_version",
    severity="note",
    source="transformers 4.52.4, trainer.py: the last partial accumulation became a step",
    flags=Example(
        {**DATA, "batch.micro": 4, "batch.accumulation": 4, "schedule.epochs": 100.0},
        model={**CHATGLM2, "transformers_version": "4.30.2"},
        facts=measured(243),
    ),
    allows=Example(
        {**DATA, "batch.micro": 4, "batch.accumulation": 4, "schedule.epochs": 100.0},
        model={**CHATGLM2, "transformers_version": "4.30.2"},
        facts=measured(240 * 4),
    ),
)
def another_version_counted_other_steps(it: Subject) -> Iterator[Found]:
    """transformers_version is no requirement. But a log of the version that saved the file counts
    steps as that version did, and does not compare with this run.

    transformers_version 不是版本要求。但保存该文件的版本所写的日志按当时的方式计算步数，与本次运行
    不能直接比较。
    """
    version, made = model_keys(it).get("transformers_version"), it.forecast.steps
    if made is None or not isinstance(version, str) or not release(version):
        return
    then = forecast(it.run, replace(it.facts, transformers=version), it.shape).steps
    if then is not None and then.steps != made.steps:
        yield it.found(
            "config.transformers_version",
            both(
                f"transformers {version} made {then.steps:,} steps of this run; "
                f"{made.transformers} makes {made.steps:,}",
                f"同样的训练，transformers {version} 为 {then.steps:,} 步，{made.transformers} 为 "
                f"{made.steps:,} 步",
            ),
            fix=both(
                f"write max_steps {then.steps} to repeat that run",
                f"要复现当时的训练，写 max_steps {then.steps}",
            ),
        )


@rule(
    "A103",
    "config.multi_query_group_num",
    severity="warning",
    source="THUDM/chatglm2-6b, modeling_chatglm.py: read with multi_query_attention alone",
    flags=Example(model={**CHATGLM2, "multi_query_attention": False}),
    allows=Example(model=CHATGLM2),
    of=(ChatGLM2,),
)
def shared_heads_are_numbered_and_not_shared(it: Subject) -> Iterator[Found]:
    """multi_query_group_num is read where multi_query_attention is true. Without it every query
    head has keys and values of its own: other shapes than those of the published weights, and a
    cache many times as large.

    只有 multi_query_attention 为真时才读取 multi_query_group_num；否则每个查询头都有自己的键和值，
    形状与官方权重不符，缓存也大许多倍。
    """
    if it.get("config.multi_query_attention"):
        return
    groups, heads = it.get("config.multi_query_group_num"), it.get("config.num_attention_heads")
    if groups not in (1, heads):
        yield it.found(
            "config.multi_query_group_num",
            both(
                f"multi_query_group_num {groups} without multi_query_attention has no effect: "
                f"there are {heads} key heads",
                f"没有 multi_query_attention，{groups} 组不起作用：键头为 {heads} 个",
            ),
            fix=both('write "multi_query_attention": true', '写 "multi_query_attention": true'),
        )


@rule(
    "A104",
    "config.seq_length",
    severity="note",
    source="THUDM/glm-4-9b-chat, config.json: seq_length 131072 with rope_ratio 500",
    flags=Example(model={**CHATGLM2, "seq_length": 131072}),
    allows=Example(model={**CHATGLM2, "seq_length": 131072, "rope_ratio": 500.0}),
    of=(ChatGLM2,),
)
def the_table_is_longer_than_its_angles_were_trained(it: Subject) -> Iterator[Found]:
    """seq_length only sizes a table. The models for long texts were trained with a larger
    rope_ratio as well; a longer table alone gives positions that the weights have never seen.

    seq_length 只决定表的大小。长文本版本训练时还用了更大的 rope_ratio；只把表加长，得到的是权重从未
    见过的位置。
    """
    length = it.get("config.seq_length")
    if length and length > 32_768 and it.get("config.rope_ratio") == 1:
        yield it.found(
            "config.seq_length",
            both(
                f"seq_length {length:,} with rope_ratio 1",
                f"seq_length {length:,}，而 rope_ratio 为 1",
            ),
            fix=both(
                "take the config.json of the long version of the model, with its weights",
                "使用该模型长文本版本的 config.json 和权重",
            ),
        )


@rule(
    "A105",
    "config.vocab_size",
    severity="note",
    source="meta-llama/llama3, llama/model.py: -1 is filled in from the tokenizer",
    flags=Example(model={**LLAMA3, "vocab_size": -1}),
    allows=Example(model=LLAMA3),
    of=(ModelArgs, Transformer),
)
def the_vocabulary_has_no_size(it: Subject) -> Iterator[Found]:
    """The embedding and the output layer have a row for every token. Without their number the
    parameters are not counted whole, and a model cannot be built.

    词嵌入和输出层的每一行对应一个词元。不知道行数时，参数量算不全，也无法建立模型。
    """
    if it.shape is None or it.shape.vocab:
        return
    written = it.get("config.vocab_size")
    yield it.found(
        "config.vocab_size",
        both("vocab_size is not given", "没有写 vocab_size")
        if written is None
        else both(f"vocab_size is {written}", f"vocab_size 为 {written}"),
        fix=both(
            "write the number of tokens of the tokenizer, 128256 for Llama 3"
            if family(it) is ModelArgs
            else "write the number of tokens of the tokenizer",
            "写分词器的词元数，Llama 3 为 128256"
            if family(it) is ModelArgs
            else "写分词器的词元数",
        ),
        severity="error" if it.get("launch.train") else None,
    )


@rule(
    "A106",
    "config.n_kv_heads",
    "config.ffn_dim_multiplier",
    severity="note",
    source="meta-llama/Meta-Llama-3-8B, original/params.json",
    flags=Example(model={**LLAMA3, "n_kv_heads": None}),
    allows=Example(model=LLAMA3),
)
def the_sizes_are_those_of_no_published_llama_3(it: Subject) -> Iterator[Found]:
    """These are the defaults of Meta's ModelArgs, which fit no Llama 3: the 8B model has 8 key
    heads and a feed-forward width of 14,336. Without n_kv_heads there are as many key heads as
    heads, and the cache is four times as large.

    这些是 Meta 的 ModelArgs 默认值，与任何 Llama 3 都不符：8B 模型有 8 个键头，前馈宽度为 14,336。
    没有 n_kv_heads 时键头与注意力头一样多，缓存是四倍大。
    """
    if it.model is None or not isinstance(args := it.model.architecture, ModelArgs):
        return
    if (args.dim, args.n_layers, args.n_heads) != (4096, 32, 32) or args.rope_theta != 500_000:
        return
    if args.n_kv_heads is None or args.ffn_hidden_dim != 14_336:
        path = "n_kv_heads" if args.n_kv_heads is None else "ffn_dim_multiplier"
        yield it.found(
            f"config.{path}",
            both(
                f"{args.key_value_heads} key heads and a feed-forward width of "
                f"{args.ffn_hidden_dim:,}",
                f"键头 {args.key_value_heads} 个，前馈宽度 {args.ffn_hidden_dim:,}",
            ),
            fix=both(
                "for Llama 3 8B write n_kv_heads 8, multiple_of 1024 and ffn_dim_multiplier 1.3",
                "若是 Llama 3 8B，写 n_kv_heads 8、multiple_of 1024、ffn_dim_multiplier 1.3",
            ),
        )


@rule(
    "A107",
    "config.model_type",
    severity="error",
    source="https://github.com/huggingface/transformers/issues/34677",
    flags=Example(
        documents=(example(MODEL, model_type="glm", padded_vocab_size=151552, kv_channels=128),)
    ),
    allows=Example(
        documents=(example(MODEL, model_type="glm", vocab_size=151552, num_key_value_heads=2),)
    ),
)
def glm_and_chatglm_are_mixed_up(it: Subject) -> Iterator[Found]:
    """The family of the published code is "chatglm", that of transformers "glm"; their keys and the
    names of their weights differ. A file with the name of one and the keys of the other loads
    nothing.

    “chatglm”是官方代码的模型族，“glm”是 transformers 自带的模型族，两者的键和权重名称都不同。用
    一方的名称配另一方的键，什么也加载不了。
    """
    keys = model_keys(it)
    published = {"padded_vocab_size", "kv_channels", "multi_query_group_num"} & keys.keys()
    theirs = {"num_key_value_heads", "partial_rotary_factor", "head_dim"} & keys.keys()
    kind = keys.get("model_type")
    mixed = {"glm": published, "chatglm": theirs if it.model is None else set[str]()}
    if found := mixed.get(str(kind)):
        other = "chatglm" if kind == "glm" else "glm"
        place = document(it, MODEL)
        en, zh = (sentence_list(sorted(found), language=one) for one in ("en", "zh"))
        yield it.found(
            "config.model_type",
            both(
                f"model_type {kind} with keys of {other}: {en}",
                f"model_type 为 {kind}，却有 {other} 的键：{zh}",
            ),
            fix=both(
                "take the config.json that was published with the weights",
                "使用随权重发布的 config.json",
            ),
            origin=None if place is None else place.origin("model_type"),
        )


@rule(
    "A108",
    "config.num_layers",
    severity="note",
    source="THUDM/chatglm-6b, modeling_chatglm.py: GLMBlock is never told the number of layers",
    flags=Example(model={**CHATGLM, "num_layers": 12}),
    allows=Example(model=CHATGLM),
    of=(ChatGLM,),
)
def the_residual_is_scaled_for_another_depth(it: Subject) -> Iterator[Found]:
    """ChatGLM-6B scales its residual by the root of twice the number of blocks, and the published
    code always takes 28 for that number. A model of another depth keeps that scale.

    ChatGLM-6B 的残差乘以“块数的两倍”的平方根，而官方代码始终把块数取为 28。其他层数的模型也沿用这
    个系数。
    """
    layers = it.get("config.num_layers")
    if layers != LAYERS:
        yield it.found(
            "config.num_layers",
            both(
                f"{layers} layers, and a residual scaled for {LAYERS}",
                f"共 {layers} 层，而残差系数按 {LAYERS} 层",
            ),
            fix=both("leave it: weights are trained with it", "无需修改：权重就是这样训练的"),
        )
