"""Whatever a file holds, it is read or refused: no traceback and no hang, for every format.

A few hundred inputs by default; ten thousand for each format with `-m slow`.
"""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foretune.errors import UserError
from foretune.explain.command import explain
from foretune.explain.log import remarks_on
from foretune.formats.model_config import model_file
from foretune.formats.read import read_sound

SOME, MANY = 25, 10_000
EXPLAINED = 5
"""Every so many are explained whole, which takes longer than reading."""

HANG = 20.0
"""Seconds after which an input counts as one that hangs; the machine may be busy."""

CHATGLM2 = {
    "model_type": "chatglm", "padded_vocab_size": 65024, "hidden_size": 4096, "num_layers": 28,
    "num_attention_heads": 32, "multi_query_attention": True, "multi_query_group_num": 2,
    "ffn_hidden_size": 13696, "kv_channels": 128, "seq_length": 32768, "torch_dtype": "float16",
    "architectures": ["ChatGLMModel"], "pad_token_id": 0, "auto_map": {"AutoConfig": "a.B"},
}  # fmt: skip
QWEN3 = {
    "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 4096, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 12288,
    "rope_scaling": None, "tie_word_embeddings": False, "eos_token_id": [1, 2],
}  # fmt: skip
STATE = {
    "epoch": 1.0, "global_step": 30, "max_steps": 60, "num_train_epochs": 2, "best_metric": None,
    "log_history": [{"loss": 1.0, "step": 10}, {"eval_loss": 2.0, "epoch": 1.0, "step": 30}],
}  # fmt: skip
ADAPTER = {
    "peft_type": "LORA", "r": 8, "lora_alpha": 32, "target_modules": ["q_proj"], "bias": "none",
    "rank_pattern": {"q": 2}, "layers_to_transform": [1], "base_model_name_or_path": "m",
}  # fmt: skip
DEEPSPEED = {
    "train_batch_size": "auto", "zero_optimization": {"stage": 3, "overlap_comm": True},
    "bf16": {"enabled": "auto"}, "optimizer": {"type": "AdamW", "params": {"lr": 1e-4}},
}  # fmt: skip
GENERATION = {"do_sample": True, "top_p": 0.8, "temperature": 0.7, "eos_token_id": [1, 2]}
TOKENIZER = {
    "tokenizer_class": "LlamaTokenizer", "model_max_length": 10**30, "padding_side": "left",
    "added_tokens_decoder": {"0": {"content": "<s>", "special": True}}, "chat_template": "{{ x }}",
}  # fmt: skip
ARGUMENTS = {"do_train": True, "learning_rate": 1e-4, "lora_rank": 8, "report_to": ["none"]}
RUN_FILE = {"model": {"path": "m"}, "batch": {"micro": 4}, "optim.learning_rate": 1e-4}

ACCELERATE = """\
compute_environment: LOCAL_MACHINE
distributed_type: DEEPSPEED
deepspeed_config:
  zero_stage: 2
  offload_optimizer_device: cpu
mixed_precision: bf16
num_processes: 2
downcast_bf16: 'no'
"""
FACTORY = """\
stage: sft
finetuning_type: lora
lora_target: all
dataset: identity,alpaca
cutoff_len: 2048
learning_rate: 1.0e-4
bf16: true
"""
SCRIPT = """\
LR=2e-2
export OMP_NUM_THREADS=4
CUDA_VISIBLE_DEVICES=0 torchrun --nproc_per_node=2 main.py \\
    --do_train --learning_rate $LR --pre_seq_len ${N:-128} \\
    --output_dir "out-$LR" --lora_target q,v
"""
LOG = """\
***** Running training *****
  Num examples = 243
  Num Epochs = 100
  Instantaneous batch size per device = 4
  Total train batch size (w. parallel, distributed & accumulation) = 16
  Gradient Accumulation steps = 4
  Total optimization steps = 1,500
  Number of trainable parameters = 1,949,696
{'loss': 4.5, 'learning_rate': 0.01, 'epoch': 0.1}
{'train_runtime': 10.5, 'train_loss': 3.3, 'epoch': 1.0}
"""
PASTED = """\
@dataclass
class ModelArgs:
    dim: int = 4096
    n_layers: int = 32
    n_kv_heads: Optional[int] = None  # 或者
    norm_eps: float = 1e-5
"""
LINES = "d_model = 512\nnum_layers = 6\nffn_hidden_dim = 4 * d_model  # 四倍\nnorm_eps = 1e-6\n"
TOML = "[batch]\nmicro = 4\n[optim]\nlearning_rate = 1e-4\n"
YAML = "model:\n  path: m\nbatch: {micro: 4}\noptim.learning_rate: 1e-4\n"

SEEDS: dict[str, tuple[str, str]] = {
    "config.json": ("config.json", json.dumps(CHATGLM2, indent=1)),
    "config of transformers": ("config.json", json.dumps(QWEN3, indent=1)),
    "params.json": ("params.json", '{"dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8}'),
    "config without braces": ("config.txt", json.dumps(CHATGLM2, indent=1)[1:-1]),
    "generation_config.json": ("generation_config.json", json.dumps(GENERATION, indent=1)),
    "tokenizer_config.json": ("tokenizer_config.json", json.dumps(TOKENIZER, indent=1)),
    "trainer_state.json": ("trainer_state.json", json.dumps(STATE, indent=1)),
    "adapter_config.json": ("adapter_config.json", json.dumps(ADAPTER, indent=1)),
    "ds_config.json": ("ds_config.json", json.dumps(DEEPSPEED, indent=1)),
    "arguments": ("args.json", json.dumps(ARGUMENTS, indent=1)),
    "run file in JSON": ("run.json", json.dumps(RUN_FILE, indent=1)),
    "run file in YAML": ("run.yaml", YAML),
    "run file in TOML": ("run.toml", TOML),
    "accelerate": ("accelerate.yaml", ACCELERATE),
    "LLaMA-Factory": ("sft.yaml", FACTORY),
    "script": ("train.sh", SCRIPT),
    "log": ("train.log", LOG),
    "source": ("pasted.py", PASTED),
    "lines": ("pasted.txt", LINES),
}
"""Every format: the name of a file, and a sound one to begin with."""

ODD = [
    "", "\0", "\ufeff", "{", "}", "[", "]", '"', "'", "\\", "\n", ":", "=", ",", "#", "$(", "`",
    "${", "<<EOF", "nan", "NaN", "-Infinity", "1e999", "9" * 400, "-1", "0", "null", "None", "true",
    "auto", "é", "汉", "\u3000", "\ud7ff", "\u2028", "!!python/object:os.system", "&a [*a]",
    "<<: *a", "- - - -", "{'loss': nan}", "***** Running training *****", "class A:", "x = (",
    "f'{a}'", "1_000", "0x10", "\r\n", "!!binary aGk=", "!!set {a}", "? [a]", "%YAML 1.1", "---\n",
    "2026-01-01", "1:30:00", "*missing", "${a:=b}", "\x1b[31m", "\u202e", "[batch]", "%s %d {0}",
]  # fmt: skip

LAUGHS = "\n".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}' if level else 'ha'] * 9)}]"
    for level in range(9)
)
"""YAML of nine lines that stands for 9 ** 9 words."""


def value(chance: random.Random, depth: int = 0) -> Any:
    """A random value of JSON."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.choice([0, -1, 1, 10**40, -(10**400), 3.5, 1e308, float("nan")]),
        lambda: chance.choice(ODD),
        lambda: "".join(chance.choices(string.printable, k=chance.randrange(12))),
    ]
    if depth < 4:
        kinds.append(lambda: [value(chance, depth + 1) for _ in range(chance.randrange(4))])
        kinds.append(
            lambda: {
                str(chance.choice(ODD)): value(chance, depth + 1)
                for _ in range(chance.randrange(4))
            }
        )
    return chance.choice(kinds)()


def other_values(text: str, chance: random.Random) -> str:
    """The keys of a JSON file with random values behind some of them."""
    try:
        keys = json.loads(text if text.startswith("{") else f"{{{text}}}")
    except (ValueError, RecursionError):
        keys = {}
    if not isinstance(keys, dict) or not keys:
        return f"{chance.choice(ODD)}{text}"
    for key in chance.sample(sorted(keys), chance.randint(1, len(keys))):
        keys[key] = value(chance)
    return json.dumps(keys, indent=chance.choice([None, 1]), ensure_ascii=chance.random() < 0.5)


def cut(text: str, chance: random.Random) -> str:
    start, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
    return chance.choice([text[:start], text[:start] + text[end:], text[start:end], text[:end] * 2])


def sprinkled(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(ODD) + text[at + chance.choice([0, 0, 1, 3]) :]
    return text


def nested(text: str, chance: random.Random) -> str:
    opening, closing = chance.choice(
        [("[", "]"), ('{"a":', "}"), ("(", ")"), ("- ", ""), ("${a:-", "}")]
    )
    deep = opening * chance.choice([10, 300, 5000]) + "1" + closing * chance.choice([0, 10, 5000])
    return chance.choice(
        [deep, text + deep, f'{{"model_type": {deep}}}', f"batch: {deep}", f"x = {deep}"]
    )


def huge(text: str, chance: random.Random) -> str:
    return chance.choice(
        [text * 200, text + "a" * 200_000, text + "\n" * 50_000, "9" * 100_000 + text]
    )


def laughing(text: str, chance: random.Random) -> str:
    """YAML whose aliases would fill the memory, and one that holds itself."""
    return chance.choice(
        [LAUGHS, f"{LAUGHS}\n{text}", f"{text}\n{LAUGHS}", f"a: &a {{b: *a}}\n{text}",
         f"{text}\nx: &x\n  <<: *x\n", f"{LAUGHS}\nbatch: {{micro: *a8}}\n{text}"]
    )  # fmt: skip


def shuffled(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    chance.shuffle(lines)
    return chance.choice(["\n", "\r\n", " ", "\r"]).join(lines)


MUTATIONS = [
    other_values, other_values, cut, sprinkled, sprinkled, nested, shuffled, huge, laughing,
]  # fmt: skip


def encoded(text: str, chance: random.Random) -> bytes:
    """The bytes of a text, now and then in another encoding than is read."""
    encoding = chance.choice(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "gb18030"])
    return text.encode(encoding, errors="surrogatepass" if encoding == "utf-8" else "replace")


def made(seed: str, chance: random.Random) -> bytes:
    """An input: a sound one of the format, spoilt."""
    if chance.random() < 0.04:
        length = chance.randrange(400)
        return chance.choice([chance.randbytes(length), b"\0" * length, b"", b"\xef\xbb\xbf"])
    for _ in range(chance.randint(1, 2)):
        seed = chance.choice(MUTATIONS)(seed, chance)
    return encoded(seed, chance)


def read_all(kind: str, count: int, folder: Path) -> None:
    """Reads ``count`` inputs of a format, as `foretune explain` and `foretune check` do."""
    name, seed = SEEDS[kind]
    file, slow, seen = folder / name, 0, 0
    for number in range(count):
        chance = random.Random(f"{kind} {number}")
        file.write_bytes(made(seed, chance))
        started = time.monotonic()
        try:
            run, _ = read_sound(file)
            model = model_file(run)
            for document in run.documents:
                list(remarks_on(document, model))
            if number % EXPLAINED == 0:
                explain(run, language=chance.choice(["en", "zh"]), everything=True)
        except UserError:
            pass
        except Exception as error:
            kept = folder / f"failed-{number}-{name}"
            kept.write_bytes(file.read_bytes())
            pytest.fail(f"{kind}, input {number} ({kept}): {type(error).__name__}: {error}")
        took = time.monotonic() - started
        assert took < HANG, f"{kind}, input {number} took {took:.1f} s"
        slow, seen = slow + (took > 1), seen + 1
    print(f"{kind}: {seen:,} inputs, {slow:,} of them over a second")
    assert seen == count


def test_there_is_a_seed_for_every_format_and_each_is_read(tmp_path: Path):
    for kind, (name, text) in SEEDS.items():
        (tmp_path / name).write_text(text, "utf-8")
        _, problems = read_sound(tmp_path / name)
        assert problems == [], kind
    assert len(SEEDS) >= 19


@pytest.mark.parametrize("kind", SEEDS)
def test_spoilt_files_are_read_or_refused(kind: str, tmp_path: Path):
    read_all(kind, SOME, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_ten_thousand_spoilt_files_are_read_or_refused(kind: str, tmp_path: Path):
    read_all(kind, MANY, tmp_path)
