"""Makes what training from scratch starts from: a vocabulary, and the sizes of the model.

    python recipes/translation/make_model.py output/translation/data output/translation/model

The folder holds config.json, sentencepiece.model and tokenizer_config.json, and no weights: the run
asks for random ones (model.fresh).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from foretune.tokenizers.transformer import VOCABULARY, train_vocabulary

PIECES = 448

CONFIG = {
    "model_type": "original-transformer",
    "d_model": 128,
    "num_layers": 2,
    "num_attention_heads": 4,
    "ffn_hidden_dim": 512,
    "dropout": 0.0,
    "norm_eps": 1e-6,
    "max_seq_len": 64,
}
"""A small one of the paper's kind. Dropout is off: the rows are many and exact."""


def make_model(data: Path, folder: Path, pieces: int = PIECES) -> int:
    """Writes the folder; returns the number of tokens."""
    rows = [json.loads(line) for line in (data / "train.json").open(encoding="utf-8")]
    texts = [text for row in rows for text in row.values()]
    tokenizer = train_vocabulary(texts, folder / VOCABULARY, pieces)
    tokenizer.save_pretrained(folder)
    config = {**CONFIG, "vocab_size": len(tokenizer)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return len(tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    tokens = make_model(given.data, given.folder)
    print(f"model: {tokens} tokens in the vocabulary, no weights yet, in {given.folder}")


if __name__ == "__main__":
    main()
