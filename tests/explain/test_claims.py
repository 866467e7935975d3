"""Explanations in circulation that are wrong, each held by the true thing that is printed instead,
in both languages.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from foretune.explain.command import explain
from foretune.facts import DataFacts, Facts
from foretune.formats.read import read


class Claim(NamedTuple):
    """A parameter, and what its explanation says in each language."""

    name: str
    en: tuple[str, ...]
    zh: tuple[str, ...]


MODELS = [
    Claim(
        "ChatGLM2.seq_length",
        ("table of rotary positions", "No text is cut to it or padded", "no tokenizer reads it",
         "max_source_length and max_target_length", "beyond it is an error"),
        ("旋转位置表", "不会按它截断或补齐", "分词器也不读取", "max_source_length", "会报错"),
    ),
    Claim(
        "padded_vocab_size",
        ("rounded up so that it divides well", "never a token of the tokenizer", "cost memory"),
        ("向上取整", "不对应分词器的任何词元", "仍占显存"),
    ),
    Claim(
        "post_layer_norm",
        ("one norm after the last block", "stay pre-norm either way"),
        ("最后一个块之后再加一个归一化层", "都是前置归一化"),
    ),
    Claim(
        "apply_residual_connection_post_layernorm",
        ("what the norm put out instead of what went into it", "a residual either way"),
        ("归一化的输出，而不是归一化的输入", "两种情况都有残差"),
    ),
    Claim(
        "apply_query_key_layer_scaling",
        ("No effect", "fused attention never reaches it", "divides the factor out again"),
        ("没有作用", "不会用到它", "又把该系数除掉"),
    ),
    Claim("attention_softmax_in_fp32", ("No effect", "fused attention"),
          ("没有作用", "融合注意力")),
    Claim(
        "ChatGLM2.attention_dropout",
        ("does not apply it with torch 2 or later, whatever the value",),
        ("无论取值都不使用它",),
    ),
    Claim("bias_dropout_fusion", ("No effect", "left-over of Megatron"),
          ("没有作用", "Megatron 遗留")),
    Claim(
        "kv_channels",
        ("Width of one head", "need not be the hidden size"),
        ("单个注意力头的宽度", "不必等于隐藏宽度"),
    ),
    Claim(
        "multi_query_group_num",
        ("key heads, and of value heads, that the query heads share", "56 MiB instead of 896 MiB",
         "4,608 instead of 12,288", "(32 + 2 × 2) × 128"),
        ("共用的键头", "56 MiB，而不是 896 MiB", "4,608，而不是 12,288"),
    ),
    Claim(
        "original_rope",
        ("neighbouring pairs in the first half of each head", "cannot run"),
        ("前半部分的相邻元素对", "无法运行"),
    ),
    Claim(
        "ffn_hidden_size",
        ("first matrix is twice as wide", "the gate and the value of SwiGLU"),
        ("宽度是它的两倍", "门控与数值"),
    ),
    Claim("ChatGLM2.quantization_bit", ("zero means not quantised",), ("为零表示未量化",)),
    Claim(
        "torch_dtype",
        ("in which the weights were saved", "decided where the model is loaded",
         "transformers 5 follows", "older versions loaded float32"),
        ("权重保存时", "加载时决定", "更早的版本"),
    ),
    Claim(
        "transformers_version",
        ("wrote the file", "Not a requirement", "arithmetic the steps in a log"),
        ("并非版本要求", "训练日志中的步数"),
    ),
    Claim(
        "ChatGLM2.pad_token_id",
        ("With the published scripts".lower(), "tokenizer's own pad token", "id 0",
         "Only with a script that masks labels by this key"),
        ("官方脚本", "分词器自己的填充词元", "编号为 0", "按这个键屏蔽标签"),
    ),
    Claim("inner_hidden_size", ("GELU", "no gate"), ("GELU", "没有门控")),
    Claim(
        "position_encoding_2d",
        ("two halves of every head", "the place in the prompt, and the place in the answer"),
        ("两半", "在提示中的位置和在回答中的位置"),
    ),
    Claim(
        "Baichuan.gradient_checkpointing",
        ("list that is not empty counts as true", "always recomputes in training"),
        ("非空列表即为真", "总会重新计算"),
    ),
    Claim(
        "Baichuan.model_max_length",
        ("no limit of the model, only the length it was trained for", "ALiBi has no table"),
        ("不是模型的上限", "ALiBi 没有位置表"),
    ),
    Claim(
        "n_kv_heads",
        ("Left out, every query head has its own: plain multi-head attention", "n_heads"),
        ("不写时每个查询头各有自己的键和值", "多头注意力"),
    ),
    Claim(
        "ModelArgs.vocab_size",
        ("negative number leaves it to the tokenizer",),
        ("取负数时由分词器决定",),
    ),
    Claim(
        "multiple_of",
        ("rounded up to a multiple of it",
         "ceil(int(1.3 × int(2 × 4 × 4,096 / 3)) / 1,024) = 14,336"),
        ("向上取整到它的倍数", "= 14,336"),
    ),
    Claim("ffn_dim_multiplier", ("before it is rounded up",), ("再向上取整",)),
    Claim(
        "ModelArgs.norm_eps",
        ("mean square, inside the root", "RMSNorm"),
        ("在开方之前", "均方"),
    ),
    Claim(
        "ModelArgs.max_batch_size",
        ("key-value cache aside before it runs", "No effect on training"),
        ("预留键值缓存", "不影响训练"),
    ),
    Claim(
        "ModelArgs.max_seq_len",
        ("sets its key-value cache", "No text is cut to it"),
        ("预留键值缓存", "不会按它截断"),
    ),
    Claim("Transformer.norm_eps", ("The paper does not give it",), ("论文没有给出",)),
    Claim("ChatGLM.tie_word_embeddings", ("one tensor, counted and trained once",),
          ("只计数、只训练一次",)),
]  # fmt: skip

SCRIPTS = [
    Claim(
        "PRE_SEQ_LEN",
        ("positions that every layer's attention sees in front", "no limit on the input",
         "128 × 2 × 28 × 2 × 128 = 1,835,008"),
        ("可训练位置数", "不是输入长度的上限", "1,835,008"),
    ),
    Claim(
        "CUDA_VISIBLE_DEVICES",
        ("CUDA driver reads it", "numbers the visible ones anew from zero"),
        ("CUDA 驱动", "从零重新编号"),
    ),
    Claim(
        "gradient_accumulation_steps",
        ("averaged", "since transformers 4.46 by the number of trained tokens",
         "a mean and not a sum"),
        ("transformers 4.46 起", "平均梯度，而不是梯度之和"),
    ),
    Claim(
        "validation_file",
        ("Naming it evaluates nothing",),
        ("仅仅写上它并不会触发评估",),
    ),
    Claim(
        "predict_with_generate",
        ("asks for no evaluation by itself",),
        ("它本身并不会触发评估",),
    ),
    Claim(
        "per_device_eval_batch_size",
        ("a run that asks for neither does not read it",),
        ("两者都没有打开时不会读取它",),
    ),
    Claim(
        "precision.quantize",
        ("frozen linear layers", "does not train a model of so few bits"),
        ("冻结线性层", "并不是在训练一个低比特模型"),
    ),
    Claim(
        "learning_rate",
        ("a hundred to a thousand times too large for LoRA or for full tuning",),
        ("高出一百到一千倍",),
    ),
    Claim("max_steps", ("whatever the epochs say",), ("不论 epoch 数写了多少",)),
    Claim("do_eval", ("Naming a validation file does not ask for it",), ("并不会触发评估",)),
    Claim(
        "ptuning_checkpoint",
        ("holds only what was trained", "the authors' trainer.py is transformers' own, changed"),
        ("只含训练过的参数", "官方的 trainer.py 是改过的"),
    ),
    Claim("max_grad_norm", ("one L2 norm over all trained parameters together",), ("L2 范数",)),
]  # fmt: skip

DEEPSPEED = [
    Claim(
        "gradient_clipping",
        ("one L2 norm over all trained parameters", "a DeepSpeed file must say the same number"),
        ("L2 范数", "DeepSpeed 配置里的数值必须与它一致"),
    ),
    Claim(
        "deepspeed.train_batch_size",
        ("It decides nothing", "auto has transformers write that product in", "takes no auto"),
        ("它不决定任何事", "乘积", "不接受 auto"),
    ),
    Claim(
        "deepspeed.bf16.enabled",
        ("auto", "--bf16"),
        ("auto 本身不做任何判断", "--bf16"),
    ),
    Claim(
        "zero_optimization.stage",
        ("parameters as well", "least memory", "half as much traffic again"),
        ("最省显存", "通信量约为前两种的一倍半"),
    ),
    Claim(
        "overlap_comm",
        ("while the backward pass goes on", "It pays in memory", "4.5 times the bucket sizes"),
        ("4.5 倍",),
    ),
    Claim(
        "stage3_gather_16bit_weights_on_model_save",
        ("one process", "shards"),
        ("一个进程",),
    ),
    Claim(
        "top_modules",
        ("How many modules the summary lists at each depth", "nothing to do with top-level"),
        ("每一层列出几个模块", "与“顶层模块”无关"),
    ),
    Claim("flops_profiler.output_file", ("log",), ("日志",)),
    Claim("profile_step", ("zero", "second"), ("从零", "第二步")),
]  # fmt: skip


def missing_from(text: str, claim: Claim, language: str) -> None:
    """Asserts that a page says what a claim holds, wherever its lines end."""
    facts: tuple[str, ...] = getattr(claim, language)
    text = " ".join(text.split())
    if language == "zh":
        text, facts = text.replace(" ", ""), tuple(fact.replace(" ", "") for fact in facts)
    assert facts
    assert [fact for fact in facts if fact.lower() not in text.lower()] == [], text


@pytest.mark.parametrize("claim", [*MODELS, *SCRIPTS, *DEEPSPEED], ids=lambda claim: claim.name)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_true_thing_is_printed(claim: Claim, language: str):
    missing_from(explain(None, [claim.name], language=language), claim, language)


ROWS = {
    "ChatGLM2 `seq_length` 32768": ["ChatGLM2.seq_length"],
    "`padded_vocab_size` 65024": ["padded_vocab_size"],
    "`post_layer_norm` true": ["post_layer_norm"],
    "`apply_residual_connection_post_layernorm`": ["apply_residual_connection_post_layernorm"],
    "`apply_query_key_layer_scaling` true": ["apply_query_key_layer_scaling"],
    "`attention_softmax_in_fp32`": ["attention_softmax_in_fp32"],
    "`attention_dropout`": ["ChatGLM2.attention_dropout"],
    "`bias_dropout_fusion`": ["bias_dropout_fusion"],
    "`kv_channels` 128": ["kv_channels"],
    "`multi_query_group_num` 2": ["multi_query_group_num"],
    "`original_rope`": ["original_rope"],
    "`ffn_hidden_size` 13696": ["ffn_hidden_size"],
    "`quantization_bit` 0": ["ChatGLM2.quantization_bit"],
    "`torch_dtype` float16": ["torch_dtype"],
    "`transformers_version`": ["transformers_version"],
    "`tie_word_embeddings`": ["ChatGLM.tie_word_embeddings", "chatglm-6b/config.json"],
    "`pad_token_id` 2 = eos (fine-tuned ChatGLM2)": ["ChatGLM2.pad_token_id"],
    "ChatGLM-6B `inner_hidden_size` 16384": ["inner_hidden_size"],
    "`position_encoding_2d`": ["position_encoding_2d"],
    "Baichuan2-13B `gradient_checkpointing: [false]`": ["Baichuan.gradient_checkpointing"],
    "Baichuan2-13B `model_max_length` 4096": ["Baichuan.model_max_length"],
    "Llama `n_kv_heads` None": ["n_kv_heads"],
    "`vocab_size` -1": ["ModelArgs.vocab_size"],
    "`multiple_of` 256, `ffn_dim_multiplier`": [
        "multiple_of", "ffn_dim_multiplier", "llama3/params.json", "llama3/params-8b.json",
    ],
    "`norm_eps`": ["ModelArgs.norm_eps"],
    "`max_batch_size` 32, `max_seq_len` 2048": [
        "ModelArgs.max_batch_size", "ModelArgs.max_seq_len", "llama3/params.json",
    ],
    "original Transformer, norm_eps 1e-6": ["Transformer.norm_eps"],
    "`PRE_SEQ_LEN` / `pre_seq_len` 128": ["PRE_SEQ_LEN"],
    "`CUDA_VISIBLE_DEVICES`": ["CUDA_VISIBLE_DEVICES"],
    "`gradient_accumulation_steps` 16": ["gradient_accumulation_steps"],
    "output directory `...-$PRE_SEQ_LEN-$LR`": ["chatglm2-6b/train.sh"],
    "`max_steps` 3000": ["max_steps", "chatglm2-6b/train.sh"],
    "`validation_file`, `predict_with_generate`, `per_device_eval_batch_size` in train.sh": [
        "validation_file", "predict_with_generate", "per_device_eval_batch_size",
    ],
    "`quantization_bit` 4": ["precision.quantize"],
    "`learning_rate` 2e-2": ["learning_rate"],
    "`trainer.py` of the official repo": ["ptuning_checkpoint"],
    "\"1,500 optimisation steps\" of 243 rows": ["chatglm2-6b-finetuned/train.log"],
    "\"total train batch size 16 … several devices\"": ["chatglm2-6b-finetuned/train.log"],
    "\"more parameters may overfit\" at 1,949,696": ["chatglm2-6b-finetuned/train.log"],
    "`\"auto\"` in batch sizes": ["deepspeed.train_batch_size"],
    "`gradient_clipping` 1.0": ["max_grad_norm", "gradient_clipping"],
    "`bf16.enabled: auto`": ["deepspeed.bf16.enabled"],
    "`stage: 3`": ["zero_optimization.stage"],
    "`overlap_comm`": ["overlap_comm"],
    "`stage3_gather_16bit_weights_on_model_save`": ["stage3_gather_16bit_weights_on_model_save"],
    "`flops_profiler.top_modules` 1": ["top_modules"],
    "`flops_profiler.output_file` null": ["flops_profiler.output_file"],
    "`flops_profiler.profile_step` 1": ["profile_step"],
}  # fmt: skip
"""Every row of notes/claims.md, and the claims and the files here that hold it."""

FILES = {
    "chatglm-6b/config.json": Claim(
        "chatglm-6b/config.json",
        ("tie_word_embeddings = true", "one tensor, counted and trained once",
         "6,173,286,400 parameters"),
        ("tie_word_embeddings = true", "只计数、只训练一次", "6,173,286,400 个参数"),
    ),
    "chatglm2-6b/train.sh": Claim(
        "chatglm2-6b/train.sh",
        ("adgen-chatglm2-6b-pt-128-2e-2", "3,000 × 1 × 16 × 1 = 48,000 examples"),
        ("adgen-chatglm2-6b-pt-128-2e-2", "3,000 × 1 × 16 × 1 = 48,000 个样本"),
    ),
    "llama3/params.json": Claim("llama3/params.json", ("11,008", "32 GiB"), ("11,008", "32 GiB")),
    "llama3/params-8b.json": Claim("llama3/params-8b.json", ("= 14,336",), ("= 14,336",)),
    "chatglm2-6b-finetuned/train.log": Claim(
        "chatglm2-6b-finetuned/train.log",
        ("4 × 4 × 1 = 16 examples. So 1 device", "15 steps an epoch", "1,600 = 100 × 16",
         "LoRA with r=8 on query_key_value", "pre_seq_len 136", "0.03% of 6,243,584,000",
         "100 passes over 243 examples", "however few parameters train"),
        ("4 × 4 × 1 = 16 个样本", "1 个设备", "15 步", "1,500 = 100 × 15", "1,600",
         "r=8，加在 query_key_value", "pre_seq_len 136", "6,243,584,000 的 0.03%",
         "对 243 个样本训练 100 遍", "无论可训练参数多少"),
    ),
}  # fmt: skip


def test_every_row_of_the_list_is_held(shared: Path):
    lines = (shared / "notes/claims.md").read_text(encoding="utf-8").splitlines()
    first = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    rows = [cell for cell in first if cell != "parameter" and set(cell) != {"-"}]
    assert len(rows) == len(ROWS) == 48 and set(rows) == set(ROWS)
    known = {claim.name for claim in (*MODELS, *SCRIPTS, *DEEPSPEED)} | FILES.keys()
    held = {name for names in ROWS.values() for name in names}
    assert held <= known, held - known


@pytest.mark.parametrize("claim", FILES.values(), ids=lambda claim: claim.name)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_true_thing_is_printed_of_a_file(claim: Claim, language: str, shared: Path):
    run = read(shared / "inputs" / claim.name)
    missing_from(explain(run, language=language, everything=True), claim, language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_3000_steps_see_less_than_half_of_advertisegen(language: str, shared: Path):
    data = DataFacts(file="train.json", rows=114_599, examples=114_599)
    facts = Facts(transformers="5.23.0", train=data)
    run = read(shared / "inputs/chatglm2-6b/train.sh")
    text = explain(run, language=language, facts=facts)
    assert "3,000 / 7,163 = 0.4188" in " ".join(text.split())
