"""Explanations in circulation that are wrong, each held by the true thing that is printed instead,
in both languages.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from foretune.explain.command import explain
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
    Claim("max_grad_norm", ("one L2 norm over all trained parameters together",), ("L2 范数",)),
]  # fmt: skip

DEEPSPEED = [
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


@pytest.mark.parametrize("claim", [*MODELS, *SCRIPTS, *DEEPSPEED], ids=lambda claim: claim.name)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_true_thing_is_printed(claim: Claim, language: str):
    text = " ".join(explain(None, [claim.name], language=language).split())
    if language == "zh":
        text = text.replace(" ", "")
    facts = [
        fact.replace(" ", "") if language == "zh" else fact for fact in getattr(claim, language)
    ]
    assert [fact for fact in facts if fact.lower() not in text.lower()] == [], text


def test_every_row_of_the_list_is_here():
    assert len(MODELS) >= 27 and len(SCRIPTS) >= 10 and len(DEEPSPEED) >= 8


def words(shared: Path, *names: str) -> str:
    return " ".join(explain(read(*(shared / "inputs" / name for name in names))).split())


def test_what_chatglm_6b_does_not_say_is_shown_with_its_default(shared: Path):
    text = words(shared, "chatglm-6b/config.json")
    assert "tie_word_embeddings = true" in text and "one tensor, counted and trained once" in text
    assert "6,173,286,400 parameters" in text


def test_the_shell_pastes_text_into_the_output_folder(shared: Path):
    assert "adgen-chatglm2-6b-pt-128-2e-2" in words(shared, "chatglm2-6b/train.sh")


def test_3000_steps_of_16_are_48000_examples(shared: Path):
    text = words(shared, "chatglm2-6b/train.sh")
    assert "3,000 × 1 × 16 × 1 = 48,000 examples" in text


def test_metas_cache_is_32_gib(shared: Path):
    assert "32 GiB" in words(shared, "llama3/params.json")


def test_1500_steps_1949696_parameters_and_one_device(shared: Path):
    text = words(shared, "chatglm2-6b-finetuned/train.log")
    assert "4 × 4 × 1 = 16 examples. So 1 device" in text
    assert "15 steps an epoch" in text and "1,600 = 100 × 16" in text
    assert "LoRA with r=8 on query_key_value" in text and "pre_seq_len 136" in text
    assert "100 passes over 243 examples" in text
