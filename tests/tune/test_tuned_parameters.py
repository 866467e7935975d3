"""What a method trains, through the whole training path, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import TrainerCallback

from small_runs import trainer_of, training

METHODS: dict[str, dict[str, Any]] = {
    "prefix": {},
    "projected prefix": {"prefix_projection": True},
    "LoRA": {"pre_seq_len": None, "lora_rank": 2},
}
TRAINED = {"prefix": "prefix_encoder.", "projected prefix": "prefix_encoder.", "LoRA": ".lora_"}


class Gradients(TrainerCallback):
    """Keeps the gradients of the first optimizer step."""

    def __init__(self) -> None:
        self.found: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model: Any = None, **kwargs):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.found.setdefault(name, parameter.grad.clone())


def first_gradients(line: list[str]) -> tuple[dict[str, torch.Tensor], int]:
    """The gradients of one step of a run, and how often a layer was computed for them."""
    trainer, seen = trainer_of(line), Gradients()
    trainer.add_callback(seen)
    calls: list[int] = []
    layers = [m for m in trainer.model.modules() if type(m).__name__ == "GLMBlock"]
    layers[0].post_attention_layernorm.register_forward_hook(lambda *_: calls.append(1))
    trainer.train()
    return seen.found, len(calls)


def losses(trainer: Any) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


@pytest.mark.parametrize("held", ["float32", "float16", 4, 8])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_only_what_the_method_adds_trains_and_in_float32(
    tmp_path: Path, base, family, method, held
):
    precision = {"quantization_bit" if isinstance(held, int) else "precision.dtype": held}
    trainer = trainer_of(
        training(
            tmp_path, base(family), rows=4, max_steps=2, save_strategy="no", **precision,
            **METHODS[method],
        )
    )  # fmt: skip
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    after = trainer.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if TRAINED[method] in name}
    assert before.keys() == after.keys() and len(changed) >= 1
    assert {after[name].dtype for name in changed} == {torch.float32}


@pytest.mark.parametrize("method", ["prefix", "LoRA"])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_after_training_the_base_is_still_bit_for_bit_what_is_in_its_folder(
    tmp_path: Path, base, family, method
):
    trainer = trainer_of(training(tmp_path, base(family), max_steps=2, **METHODS[method]))
    trainer.train()
    plain = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): tensor
        for name, tensor in trainer.model.state_dict().items()
    }
    weights = load_file(base(family) / "model.safetensors")
    assert len(weights) >= 17
    for name, tensor in weights.items():
        assert torch.equal(plain[name], tensor.float()), name


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("method", ["prefix", "LoRA"])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_gradients_are_the_same_with_gradient_checkpointing(
    tmp_path: Path, base, family, method, reentrant
):
    line = training(
        tmp_path, base(family), max_steps=1, save_strategy="no", max_grad_norm=0,
        **METHODS[method], **{"method.prefix.dropout": 0},
    )  # fmt: skip
    expected, once = first_gradients(line)
    chosen = ["--gradient_checkpointing_kwargs", f'{{"use_reentrant": {str(reentrant).lower()}}}']
    found, twice = first_gradients([*line, "--gradient_checkpointing", *chosen])
    assert (once, twice) == (1, 2)
    assert found.keys() == expected.keys() and len(found) >= 1
    for name, gradient in expected.items():
        largest = gradient.abs().max().item()
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6 * largest)
        assert largest > 0 or "lora_A" in name  # whose B is still zero


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_training_on_a_packed_base_lowers_the_loss(tmp_path: Path, base, family, method, bits):
    trainer = trainer_of(
        training(
            tmp_path, base(family), rows=4, max_steps=12, per_device_train_batch_size=4,
            quantization_bit=bits, gradient_checkpointing=True, save_strategy="no",
            learning_rate=0.02 if method == "LoRA" else 0.5, **METHODS[method],
        )
    )  # fmt: skip
    trainer.train()
    found = losses(trainer)
    assert len(found) == 12
    assert found[-1] < 0.97 * found[0]


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_full_tuning_starts_in_float32_and_moves_every_weight(tmp_path: Path, base, family):
    trainer = trainer_of(
        training(tmp_path, base(family), rows=4, pre_seq_len=None, learning_rate=1e-3, max_steps=2)
    )
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    assert {value.dtype for value in before.values()} == {torch.float32}
    trainer.train()
    still = {n for n, value in trainer.model.named_parameters() if torch.equal(value, before[n])}
    assert still == set()
    saved = load_file(tmp_path / "out" / "checkpoint-2" / "model.safetensors")
    assert set(load_file(base(family) / "model.safetensors")) == set(saved)
    state = trainer.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in saved.items())


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_label_smoothing_smooths_the_loss_of_the_next_token(tmp_path: Path, base, family):
    line = training(tmp_path, base(family), rows=4, max_steps=1, per_device_train_batch_size=2)
    trainer = trainer_of(
        [*line, "--label_smoothing_factor", "0.3", "--method.prefix.dropout", "0",
         "--gradient_accumulation_steps", "2", "--save_strategy", "no"]
    )  # fmt: skip
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(4)])
    with torch.no_grad():
        logits_BLV = trainer.model.train()(input_ids=batch["input_ids"]).logits
    log_BLV = F.log_softmax(logits_BLV.double(), dim=-1)
    by_hand = [
        -0.7 * log_BLV[row, place - 1, label] - 0.3 * log_BLV[row, place - 1].mean()
        for row, labels in enumerate(batch["labels"].tolist())
        for place, label in enumerate(labels)
        if label != -100 and place
    ]
    assert len(by_hand) >= 16
    trainer.train()
    assert losses(trainer) == [pytest.approx(float(sum(by_hand)) / len(by_hand), rel=1e-5)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_gradients_do_not_depend_on_how_a_batch_is_split(tmp_path: Path, base, family, method):
    """Rows of different lengths: a mean over micro batches would weigh their tokens differently."""
    line = training(
        tmp_path, base(family), rows=4, max_steps=1, max_target_length=80, max_grad_norm=0,
        save_strategy="no", **METHODS[method], **{"method.prefix.dropout": 0},
    )  # fmt: skip
    whole, split = (
        first_gradients(
            [*line, "--per_device_train_batch_size", micro, "--gradient_accumulation_steps", times]
        )
        for micro, times in [("4", "1"), ("1", "4")]
    )
    assert (whole[1], split[1]) == (1, 4)
    assert whole[0].keys() == split[0].keys() and len(whole[0]) >= 1
    for name, gradient in whole[0].items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(split[0][name], gradient, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("mixed", ["fp16", "bf16"])
def test_half_precision_trains_on_a_cpu_too(tmp_path: Path, base, mixed):
    told = {mixed: True, "per_device_train_batch_size": 4, "learning_rate": 0.5}
    trainer = trainer_of(training(tmp_path, base("chatglm2"), rows=4, max_steps=8, **told))
    assert trainer.accelerator.mixed_precision == mixed
    trainer.train()
    found = losses(trainer)
    assert len(found) == 8 and found[-1] < found[0]
