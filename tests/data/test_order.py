"""Tokens with padding: exact where the order of the rows is known, expected where it is not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_pt_utils import get_length_grouped_indices

from foretune.data.collate import TrainingCollator
from foretune.data.examples import Examples, Ragged
from foretune.data.order import padded_tokens
from foretune.plan.padded import longest_of, padded_epoch
from foretune.plan.steps import steps
from foretune.plan.version import installed


class Sizes(torch.nn.Module):
    """A model that learns nothing and counts what goes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = 0

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += input_ids.numel()
        return {"loss": self.weight.sum()}


def examples(count: int) -> Examples:
    lengths = np.random.default_rng(count).integers(1, 60, count)
    ids = Ragged.of([[5] * int(length) for length in lengths])
    return Examples(ids, ids, None)


CASES: list[dict[str, Any]] = [
    {"count": 23, "micro": 4, "epochs": 2.0},
    {"count": 23, "micro": 4, "accumulation": 3, "epochs": 3.0, "seed": 7},
    {"count": 40, "micro": 8, "epochs": 1.0, "order": "sequential"},
    {"count": 41, "micro": 8, "epochs": 2.0, "drop_last": True},
    {"count": 30, "micro": 3, "max_steps": 17, "accumulation": 2},
    {"count": 9, "micro": 16, "epochs": 1.5},
    {"count": 23, "micro": 4, "epochs": 2.0, "constant": 61},
    {"count": 11, "micro": 2, "max_steps": 7, "order": "sequential", "accumulation": 4},
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_trainer_puts_exactly_as_many_tokens_through_the_model(tmp_path, case):
    told = {"accumulation": 1, "epochs": 1.0, "order": "random", "seed": 42, "drop_last": False,
            "constant": None, "max_steps": None, **case}  # fmt: skip
    data = examples(told["count"])
    made = steps(
        examples=told["count"], micro=told["micro"], accumulation=told["accumulation"], devices=1,
        epochs=told["epochs"], max_steps=told["max_steps"], warmup=0,
        drop_last=told["drop_last"], transformers=installed("transformers"),
    )  # fmt: skip
    args = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", save_strategy="no",
        per_device_train_batch_size=told["micro"], num_train_epochs=told["epochs"],
        gradient_accumulation_steps=told["accumulation"], max_steps=told["max_steps"] or -1,
        dataloader_drop_last=told["drop_last"], train_sampling_strategy=told["order"],
        seed=told["seed"], disable_tqdm=True,
    )  # fmt: skip
    set_seed(told["seed"])
    model, collate = Sizes(), TrainingCollator(0, -100, told["constant"], told["constant"], None)
    Trainer(model=model, args=args, train_dataset=data, data_collator=collate).train()  # pyright: ignore[reportArgumentType]
    own = {key: told[key] for key in ("order", "seed", "drop_last", "constant")}
    assert padded_tokens(data.input_ids.lengths, made, **own) == model.seen > 0


def test_an_order_of_chance_is_expected_within_its_interval():
    lengths = np.random.default_rng(0).lognormal(3, 0.7, 4000).astype(int) + 1
    counts = sorted(Counter(lengths.tolist()).items())
    for order, micro in [("random", 4), ("random", 16), ("group_by_length", 8)]:
        said, inside = padded_epoch(counts, micro=micro, order=order), 0
        for seed in range(40):
            drawn = torch.Generator().manual_seed(seed)
            places = torch.randperm(len(lengths), generator=drawn).numpy()
            if order == "group_by_length":
                places = get_length_grouped_indices(lengths.tolist(), micro, generator=drawn)
            batches = lengths[places][: 4000 // micro * micro].reshape(-1, micro)
            inside += abs(batches.max(1).sum() * micro / said.tokens - 1) <= said.within
        assert inside >= 35, (order, micro)
        assert 0.001 < said.within < 0.06


def test_the_longest_of_one_row_is_the_mean_and_of_all_the_longest():
    counts = [(3, 2), (10, 1), (40, 1)]
    assert longest_of(counts, 1)[0] == pytest.approx(14)
    assert longest_of(counts, 4) == (pytest.approx(40), pytest.approx(0, abs=1e-6))
    assert longest_of(counts, 2)[0] == pytest.approx((3 + 10 * 2 + 40 * 3) / 6)
