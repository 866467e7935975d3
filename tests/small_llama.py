"""A small random Llama 3 in Meta's own layout, and Meta's arithmetic on it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from foretune.models.meta_files import names, sizes
from foretune.params.arch import read_architecture
from foretune.params.arch.llama3 import ModelArgs

RANKS = Path(__file__).parent / "golden" / "tokenizers" / "glm4" / "tokenizer.model"
"""A small file of ranks; GLM-4's and Llama 3's fixtures have the same one."""

PARAMS: dict[str, Any] = {
    "dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": -1, "multiple_of": 8,
    "ffn_dim_multiplier": 1.3, "norm_eps": 1e-05, "rope_theta": 500000.0,
}  # fmt: skip
ROWS = 700 + 256


def weights_of(args: ModelArgs) -> dict[str, Tensor]:
    """Random tensors under Meta's names, large enough to matter."""
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in sizes(args).items():
        noise = torch.randn(shape, generator=generator)
        made[name] = 1 + 0.1 * noise if len(shape) == 1 else 0.2 * noise
    return made


def small_llama(folder: Path, *, files: int = 1, ranks: bool = True, **keys: Any) -> Path:
    """The folder with params.json, ``files`` consolidated files and tokenizer.model written."""
    params = PARAMS | keys
    args, _ = read_architecture(params | ({"vocab_size": ROWS} if ranks else {}))
    assert isinstance(args, ModelArgs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(params))
    if ranks:
        shutil.copy(RANKS, folder)
    whole = weights_of(args)
    for i in range(files):
        part = {}
        for name, (_, dim) in names(args).items():
            cut = whole[name] if dim is None else whole[name].chunk(files, dim)[i]
            part[name] = cut.clone()
        torch.save(part, folder / f"consolidated.{i:02d}.pth")
    return folder


def metas_logits(args: ModelArgs, w: dict[str, Tensor], ids: Tensor) -> Tensor:
    """What Meta's model gives for ids [L]: logits [L, V]. Neighbours of a head are rotated, as one
    complex number.
    """
    length, width = len(ids), args.head_dim
    speeds = args.rope_theta ** -(torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(length), speeds)
    turn = torch.polar(torch.ones_like(angles), angles)

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + args.norm_eps) * weight

    def rotated(x: Tensor) -> Tensor:  # [L, heads, width]
        turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turn[:, None]
        return torch.view_as_real(turned).flatten(2)

    hidden = w["tok_embeddings.weight"][ids]
    ahead = torch.full((length, length), -math.inf).triu(1)
    for i in range(args.n_layers):
        layer = {name.removeprefix(f"layers.{i}."): one for name, one in w.items()}
        x = norm(hidden, layer["attention_norm.weight"])
        q = rotated((x @ layer["attention.wq.weight"].T).view(length, -1, width))
        k = rotated((x @ layer["attention.wk.weight"].T).view(length, -1, width))
        v = (x @ layer["attention.wv.weight"].T).view(length, -1, width)
        k, v = (one.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for one in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(width) + ahead
        seen = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).flatten(1)
        hidden = hidden + seen @ layer["attention.wo.weight"].T
        x = norm(hidden, layer["ffn_norm.weight"])
        gate = F.silu(x @ layer["feed_forward.w1.weight"].T)
        inner = gate * (x @ layer["feed_forward.w3.weight"].T)
        hidden = hidden + inner @ layer["feed_forward.w2.weight"].T
    return norm(hidden, w["norm.weight"]) @ w["output.weight"].T
