"""Makes the base of the quickstart: a small ChatGLM2 and its tokenizer, out of text.txt.

    python recipes/quickstart/make_base.py output/quickstart/base

The folder is laid out as a published one (config.json, model.safetensors, tokenizer.model,
tokenizer_config.json), so whatever reads ChatGLM2-6B reads it. A base that is there already is
used again.

The sizes and settings are those that learn fastest on one core to repeat in a sentence what stood
in a list before (docs/log.md): without that no prefix can draw copy out of the base.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import jieba
import sentencepiece
import torch
from torch import Tensor
from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from foretune.models.chatglm2 import ChatGLMConfig, ChatGLMForConditionalGeneration
from foretune.tokenizers.chatglm2 import ChatGLM2Tokenizer

TEXT = Path(__file__).with_name("text.txt")
PIECES = 2000
STEPS = 2400
BATCH = 8
LEARNING_RATE = 1.5e-3
WARMUP = 50
SEED = 20
UNTRAINED = -100

# The keys of THUDM/chatglm2-6b's config.json; the sizes are small, the rest is as published.
CONFIG = {
    "model_type": "chatglm",
    "architectures": ["ChatGLMModel"],
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_query_key_layer_scaling": True,
    "apply_residual_connection_post_layernorm": False,
    "attention_dropout": 0.0,
    "attention_softmax_in_fp32": True,
    "bias_dropout_fusion": True,
    "ffn_hidden_size": 256,
    "fp32_residual_connection": False,
    "hidden_dropout": 0.0,
    "hidden_size": 128,
    "kv_channels": 32,
    "layernorm_epsilon": 1e-5,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 3,
    "original_rope": True,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 1024,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def read_documents(file: Path) -> list[str]:
    """The documents of the text: a blank line stands between two of them."""
    return file.read_text(encoding="utf-8").strip().split("\n\n")


# The tokenizer


def train_vocabulary(documents: list[str], pieces: int) -> bytes:
    """A tokenizer.model of that many pieces, with the layout of ChatGLM2's.

    Byte-pair encoding on words (of jieba), so that a value is a piece and not half of a phrase; no
    normalisation; digits apart; a byte for what no piece covers. The special tokens are numbered
    after the pieces by the tokenizer and do not stand in the file.
    """
    jieba.setLogLevel(60)
    asked = ["[Round 1]", "问：", "答："] * len(documents)
    lines = [line for document in documents for line in document.splitlines()]
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=("\t".join(jieba.cut(line)) for line in asked + lines),
        model_writer=content,
        vocab_size=pieces,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        pretokenization_delimiter="\t",
        minloglevel=2,
    )
    return content.getvalue()


def make_tokenizer(documents: list[str], folder: Path) -> ChatGLM2Tokenizer:
    """Writes tokenizer.model and tokenizer_config.json; returns the tokenizer that reads them."""
    (folder / "tokenizer.model").write_bytes(train_vocabulary(documents, PIECES))
    tokenizer = ChatGLM2Tokenizer(str(folder / "tokenizer.model"))
    tokenizer.save_pretrained(folder)
    return tokenizer


# The model


def encode(document: str, tokenizer: ChatGLM2Tokenizer) -> list[int]:
    """The tokens of a document; a question and its answer as the family's chats are encoded."""
    question, asked, answer = document.removeprefix("问：").partition("\n答：")
    if not asked:
        return [*tokenizer.encode(document), tokenizer.eos_token_id]
    prompt = tokenizer.encode(tokenizer.build_prompt(question))
    return [*prompt, *tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]


def batches(rows: list[list[int]], rng: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and labels [BATCH, longest], for ever; rows of like length go together."""
    while True:
        rng.shuffle(rows)
        found = []
        for start in range(0, len(rows), 16 * BATCH):
            near = sorted(rows[start : start + 16 * BATCH], key=len)
            found += [near[first : first + BATCH] for first in range(0, len(near), BATCH)]
        rng.shuffle(found)
        for batch in found:
            longest = max(map(len, batch))
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in batch])
            labels = [row + [UNTRAINED] * (longest - len(row)) for row in batch]
            yield ids, torch.tensor(labels)


def new_model(tokenizer: ChatGLM2Tokenizer) -> ChatGLMForConditionalGeneration:
    """An untrained model; its rows of the vocabulary are rounded up to a multiple of 64."""
    rows = -(-len(tokenizer) // 64) * 64
    config = ChatGLMConfig.from_dict({**CONFIG, "padded_vocab_size": rows})
    model = ChatGLMForConditionalGeneration(config)
    deep = (2 * config.num_layers) ** -0.5
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            wide = "word_embeddings" in name or "output_layer" in name
            adds = "self_attention.dense" in name or "dense_4h_to_h" in name
            torch.nn.init.normal_(parameter, std=0.06 if wide else 0.02 * deep if adds else 0.02)
    return model


def learning_rate(step: int, steps: int) -> float:
    """Its share of the peak at a step: a linear warm-up, then half a cosine down to a twentieth."""
    fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / WARMUP) * fall


def pretrain(model: ChatGLMForConditionalGeneration, rows: list[list[int]], steps: int) -> float:
    """Trains the model to go on with the documents; returns its mean loss over the last steps."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": 0.05},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(s, steps))
    made = batches(rows, random.Random(SEED))
    mean = math.log(model.config.padded_vocab_size)
    watched = sys.stderr.isatty()
    with tqdm(total=steps, desc="base", unit="step", mininterval=0.5 if watched else 10) as bar:
        for _ in range(steps):
            ids, labels = next(made)
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            mean += 0.02 * (loss.item() - mean)
            bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
            bar.update()
    return mean


def save(model: ChatGLMForConditionalGeneration, folder: Path) -> None:
    """Writes config.json with the published keys alone, and the weights, last."""
    disable_progress_bar()  # one small file
    model.save_pretrained(folder)
    config = {**CONFIG, "padded_vocab_size": model.config.padded_vocab_size}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def is_finished(folder: Path) -> bool:
    """Whether a base is there: its weights are written last."""
    return (folder / "model.safetensors").is_file()


def make_base(folder: Path, steps: int = STEPS, text: Path = TEXT) -> None:
    """The whole base into ``folder``."""
    torch.manual_seed(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    documents = read_documents(text)
    tokenizer = make_tokenizer(documents, folder)
    rows = [encode(document, tokenizer) for document in documents]
    model = new_model(tokenizer)
    print(
        f"base: {sum(map(len, rows)):,} tokens of {text.name}, {len(tokenizer):,} tokens in the "
        f"vocabulary, {model.num_parameters():,} parameters, {torch.get_num_threads()} threads",
        flush=True,
    )
    mean = pretrain(model.train(), rows, steps)
    save(model, folder)
    print(f"base: loss {mean:.3f}, saved in {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"instead of {STEPS:,}")
    given = parser.parse_args()
    if is_finished(given.folder):
        print(f"base: {given.folder} is there already and is used; remove it to make another")
    else:
        make_base(given.folder, given.steps)


if __name__ == "__main__":
    main()
