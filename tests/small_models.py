"""Small random models in their published layout, for tests that need a folder to load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from foretune.models.hf import native_model, published_config
from foretune.params.arch import family_of
from foretune.tokenizers import FAMILIES, ChatGLMTokenizer

FIXTURES = Path(__file__).parent / "golden" / "tokenizers"
BAICHUAN = FIXTURES / "baichuan2" / "tokenizer.model"  # of the same form in both releases
VOCABULARIES = {
    "chatglm": (FIXTURES / "chatglm1" / "ice_text.model", FIXTURES / "chatglm1_fixture.json"),
    "chatglm2": (FIXTURES / "chatglm2" / "tokenizer.model", FIXTURES / "chatglm2_fixture.json"),
    "chatglm3": (FIXTURES / "chatglm2" / "tokenizer.model", FIXTURES / "chatglm3_fixture.json"),
    "glm4": (FIXTURES / "glm4" / "tokenizer.model", FIXTURES / "glm4_fixture.json"),
    "baichuan": (BAICHUAN, FIXTURES / "baichuan1_fixture.json"),
    "baichuan2": (BAICHUAN, FIXTURES / "baichuan2_fixture.json"),
    "baichuan2_7b": (BAICHUAN, FIXTURES / "baichuan2_fixture.json"),
}
CONFIGS: dict[str, dict[str, Any]] = {
    "chatglm": {
        "hidden_size": 32, "inner_hidden_size": 64, "num_layers": 2, "num_attention_heads": 4,
        "max_sequence_length": 512, "position_encoding_2d": True, "layernorm_epsilon": 1e-5,
    },
    "chatglm2": {
        "hidden_size": 32, "ffn_hidden_size": 48, "num_layers": 2, "num_attention_heads": 4,
        "kv_channels": 8, "multi_query_group_num": 2, "seq_length": 512, "add_bias_linear": False,
        "add_qkv_bias": True, "multi_query_attention": True, "original_rope": True,
        "post_layer_norm": True, "rmsnorm": True, "layernorm_epsilon": 1e-5,
        "tie_word_embeddings": False, "eos_token_id": 2, "pad_token_id": 0,
    },
}  # fmt: skip
CONFIGS["chatglm3"] = CONFIGS["chatglm2"]
CONFIGS["glm4"] = {
    **CONFIGS["chatglm2"],
    "rope_ratio": 500, "layernorm_epsilon": 1.5625e-07, "num_hidden_layers": 2,
    "eos_token_id": [700, 707, 709], "pad_token_id": 700,
}  # fmt: skip
CONFIGS["baichuan"] = {  # 7B of the first release; "baichuan2" is the 13B of the second
    "model_type": "baichuan", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 4096, "hidden_act": "silu",
    "rms_norm_eps": 1e-06, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0, "architectures": ["BaiChuanForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_baichuan.BaiChuanConfig",
        "AutoModelForCausalLM": "modeling_baichuan.BaiChuanForCausalLM",
    },
}  # fmt: skip
SECOND = {
    **CONFIGS["baichuan"],
    "tokenizer_class": "BaichuanTokenizer", "model_max_length": 4096,
    "architectures": ["BaichuanForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_baichuan.BaichuanConfig",
        "AutoModelForCausalLM": "modeling_baichuan.BaichuanForCausalLM",
    },
}  # fmt: skip
CONFIGS["baichuan2_7b"] = SECOND
CONFIGS["baichuan2"] = {
    **{key: value for key, value in SECOND.items() if key != "max_position_embeddings"},
    "gradient_checkpointing": [False],
}
BAICHUAN2_CHAT = {  # generation_config.json of the published Chat models
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "user_token_id": 195,
    "assistant_token_id": 196, "max_new_tokens": 2048, "temperature": 0.3, "top_k": 5,
    "top_p": 0.85, "repetition_penalty": 1.05, "do_sample": True, "transformers_version": "4.29.2",
}  # fmt: skip
REMOTE = "modeling_chatglm.ChatGLMForConditionalGeneration"


def small_model(
    folder: Path, family: str, *, vocabulary: Path | None = None, fixture: Path | None = None,
    spread: float = 1.0, **changes: Any,
) -> Path:  # fmt: skip
    """A folder with a small random model of a family in `CONFIGS`; "chatglm" is v1.

    The Python files in it raise when they are run: nothing may run them. ``vocabulary`` is a file,
    ``fixture`` a JSON file that holds the published content of tokenizer_config.json. ``spread``
    multiplies every matrix, so that the layers matter beside what they are added to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own_vocabulary, own_fixture = VOCABULARIES[family]
    shutil.copy(vocabulary or own_vocabulary, folder / own_vocabulary.name)
    published = json.loads((fixture or own_fixture).read_text("utf-8"))["tokenizer_config"]
    (folder / "tokenizer_config.json").write_text(json.dumps(published))
    authors = "baichuan" if family.startswith("baichuan") else "chatglm"
    for module in (f"configuration_{authors}", f"modeling_{authors}", f"tokenization_{authors}"):
        knows = "  # <|assistant|>" if family == "chatglm3" else ""
        code = f"raise RuntimeError('code of the folder ran'){knows}\n"
        (folder / f"{module}.py").write_text(code)
    config = {
        "model_type": "chatglm",
        "architectures": ["ChatGLMModel"],
        "auto_map": {
            "AutoConfig": "configuration_chatglm.ChatGLMConfig",
            "AutoModel": REMOTE,
            "AutoModelForSeq2SeqLM": REMOTE,
        },
        "torch_dtype": "float16",
        **CONFIGS[family],
    }
    named = FAMILIES["baichuan"] if authors == "baichuan" else ChatGLMTokenizer
    config |= vocabulary_keys(named.from_pretrained(folder), family) | changes
    architecture = family_of(config)
    assert architecture is not None
    torch.manual_seed(0)
    model = native_model(architecture)(published_config(architecture).from_dict(config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(spread if parameter.dim() > 1 else 1)
    model.half().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    if authors == "baichuan":
        (folder / "generation_config.json").write_text(json.dumps(BAICHUAN2_CHAT))
    return folder


def vocabulary_keys(tokenizer: Any, family: str) -> dict[str, int]:
    """The keys of config.json that follow from the vocabulary."""
    rows = -(-len(tokenizer) // 32) * 32
    if family in ("chatglm2", "chatglm3", "glm4"):
        return {"padded_vocab_size": rows}
    if family.startswith("baichuan"):
        return {"vocab_size": rows}
    names = {"bos": "<sop>", "eos": "<eop>", "mask": "[MASK]", "gmask": "[gMASK]", "pad": "<pad>"}
    ids = {f"{key}_token_id": tokenizer.convert_tokens_to_ids(n) for key, n in names.items()}
    return {"vocab_size": rows, **ids}
