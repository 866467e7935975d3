"""Small random models of transformers' own families, with tokenizers and chat templates like those
that are published.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from string import printable
from typing import Any

import torch
from tokenizers.pre_tokenizers import Metaspace
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2's."""
MARKED = """\
{%- for m in messages %}
{%- if m.role == "assistant" %}
{{- "<|im_start|>assistant\n" }}
{%- generation %}
{{- m.content + "<|im_end|>" }}
{%- endgeneration %}
{{- "\n" }}
{%- else %}
{{- "<|im_start|>" + m.role + "\n" + m.content + "<|im_end|>\n" }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\n" }}{%- endif %}"""
"""The same, and it says what the assistant writes."""
THINKING = """\
{%- set ns = namespace(last=0) %}
{%- for m in messages %}
{%- if m.role == "user" %}{% set ns.last = loop.index0 %}{% endif %}
{%- endfor %}
{%- for m in messages %}
{%- set content = m.content %}
{%- set thought = "" %}
{%- if m.role == "assistant" and "</think>" in content %}
{%- set thought = content.split("</think>")[0].split("<think>")[-1].strip("\n") %}
{%- set content = content.split("</think>")[-1].lstrip("\n") %}
{%- endif %}
{{- "<|im_start|>" + m.role + "\n" }}
{%- if m.role == "assistant" and loop.index0 > ns.last %}
{{- "<think>\n" + thought + "\n</think>\n\n" }}
{%- endif %}
{{- content + "<|im_end|>\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\n" }}{%- endif %}"""
"""Qwen3's: of earlier answers, what was thought is left out."""
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }} {{ eos_token }}"
    "{% else %}{{ raise_exception('no system message') }}{% endif %}{% endfor %}"
)
"""It has no prompt to generate from: what precedes an answer is the model's to write."""
GLM = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""GLM-4's: no token ends a turn, the next one's role does."""
OPENS_THOUGHT = CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")
"""DeepSeek-R1's way: the prompt opens a thought that a conversation does not have."""

TEMPLATES = {
    "chatml": CHATML, "marked": MARKED, "thinking": THINKING, "llama3": LLAMA3, "llama2": LLAMA2,
    "glm": GLM, "opens-thought": OPENS_THOUGHT, "bare": None,
}  # fmt: skip
SPECIAL = {
    "llama3": ["<|end|>", "<|begin|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "llama2": ["<unk>", "<s>", "</s>"],
    "glm": ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"],
    "bare": ["<|endoftext|>"],
}
ENDS = {"llama3": "<|eot_id|>", "llama2": "</s>", "glm": "<|endoftext|>", "bare": "<|endoftext|>"}
CHAT_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
THOUGHT = ["<think>", "</think>"]
TEXTS = (
    "What is the capital of France? The capital of France is Paris.\n",
    "类型#上衣*材质#牛仔布*颜色#白色 简约而不简单的牛仔外套，白色的衣身十分百搭。\n",
    "assistant user system [INST] hello world, good morning\n\n",
)


WORDS = Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the tokenizers of Llama 3 and Qwen take a text apart; GPT-2's keeps new lines together only
at the end of a text.
"""


@cache
def tokenizer_of(kind: str, *, as_gpt2: bool = False) -> Any:
    """A tokenizer with the template of that kind; "llama2" puts a blank in front of a text, as
    SentencePiece does, and the others are byte-level.
    """
    special = SPECIAL.get(kind, CHAT_SPECIAL)
    backend = Tokenizer(models.BPE(unk_token="<unk>" if kind == "llama2" else None))
    letters = list(printable) if kind == "llama2" else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, show_progress=False, initial_alphabet=letters
    )  # fmt: skip
    if kind == "llama2":
        backend.pre_tokenizer = Metaspace(prepend_scheme="first")
        backend.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        split = [] if as_gpt2 or kind == "bare" else [pre_tokenizers.Split(WORDS, "isolated")]
        last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not split)
        backend.pre_tokenizer = pre_tokenizers.Sequence([*split, last])
        backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(TEXTS * 4, trainer)
    begin = {"llama3": "<|begin|>", "llama2": "<s>"}.get(kind)
    named = {} if begin is None else {"bos_token": begin}
    end = ENDS.get(kind, "<|im_end|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=end, **named)
    if "think" in (TEMPLATES[kind] or ""):
        tokenizer.add_tokens([AddedToken(name, normalized=False) for name in THOUGHT])
    tokenizer.add_special_tokens({"extra_special_tokens": special})
    tokenizer.chat_template = TEMPLATES[kind]
    return tokenizer


SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("chatml", SIZES),
    "qwen3": ("thinking", SIZES | {"tie_word_embeddings": True}),
    "llama": ("llama3", SIZES),
    "mistral": ("llama2", SIZES),
    "glm": ("glm", SIZES | {"partial_rotary_factor": 0.5, "pad_token_id": 0}),
    "gemma2": ("marked", SIZES | {"query_pre_attn_scalar": 8, "sliding_window": 16}),
    "gpt2": ("bare", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}),
}
"""model_type -> the kind of its tokenizer, and its sizes."""


def other_model(folder: Path, model_type: str, **changes: Any) -> Path:
    """A folder with a small random model and its tokenizer, as transformers saves them."""
    kind, sizes = MODELS[model_type]
    tokenizer = tokenizer_of(kind)
    ids = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    rows = -(-len(tokenizer) // 8) * 8
    config = AutoConfig.for_model(model_type, **{"vocab_size": rows, **ids, **sizes, **changes})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)  # the layers are to matter
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rewrite(file: Path, **keys: Any) -> None:
    """Changes keys of a JSON file; None takes one away."""
    content = json.loads(file.read_text("utf-8")) | keys
    kept = {key: value for key, value in content.items() if value is not None}
    file.write_text(json.dumps(kept), "utf-8")
