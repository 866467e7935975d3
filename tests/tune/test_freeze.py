"""Training of a part of the model: what trains, what is saved, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from foretune.cli import main
from foretune.errors import UserError
from foretune.models.loading import load_model
from foretune.train.foresee import foresee
from small_runs import run_of, trained, trainer_of, training

FREEZE: dict[str, Any] = {
    "pre_seq_len": None, "method.name": "freeze", "method.freeze.layers": 1, "learning_rate": 1e-3,
}  # fmt: skip
BLOCK = {"chatglm": "transformer.layers", "chatglm2": "transformer.encoder.layers"}


def stepped(line: list[str]) -> tuple[Any, set[str]]:
    """A trainer after its run, and the weights that are other than before."""
    trainer = trainer_of(line)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    return trainer, {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("mixed", ["bf16", None])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_the_last_block_alone_trains_and_in_float32(tmp_path: Path, base, family, mixed):
    half: dict[str, Any] = {"bf16": True, "precision.dtype": "bfloat16"} if mixed else {}
    line = training(tmp_path, base(family), save_strategy="no", **FREEZE, **half)
    trainer, changed = stepped(line)
    own = dict(trainer.model.named_parameters())
    place = max(name for name in own if name.startswith(BLOCK[family]))
    block = ".".join(place.split(".")[: len(BLOCK[family].split(".")) + 1]) + "."
    assert changed == {name for name in own if name.startswith(block)} and len(changed) >= 5
    assert {own[name].dtype for name in changed} == {torch.float32}
    frozen = torch.bfloat16 if mixed else torch.float32
    assert {value.dtype for name, value in own.items() if name not in changed} == {frozen}
    assert foresee(run_of(line)).trainable == sum(own[name].numel() for name in changed)


def test_modules_and_those_outside_the_blocks_are_chosen_by_name(tmp_path: Path, base):
    chosen = {
        "method.freeze.layers": -1, "method.freeze.modules": "mlp",
        "method.freeze.extra": "output_layer",
    }  # fmt: skip
    line = training(tmp_path, base("chatglm2"), save_strategy="no", **FREEZE | chosen)
    _, changed = stepped(line)
    assert changed == {
        "transformer.encoder.layers.0.mlp.dense_h_to_4h.weight",
        "transformer.encoder.layers.0.mlp.dense_4h_to_h.weight",
        "transformer.output_layer.weight",
    }


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_checkpointing_changes_no_weight_and_computes_no_frozen_block_again(
    tmp_path: Path, base, family, reentrant
):
    found: list[dict[str, torch.Tensor]] = []
    calls: list[list[int]] = []
    for again in (False, True):
        how = f'{{"use_reentrant": {str(reentrant).lower()}}}'
        more = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": how}
        line = training(
            tmp_path, base(family), max_steps=1, save_strategy="no", **FREEZE,
            **(more if again else {}),
        )  # fmt: skip
        trainer = trainer_of(line)
        blocks = [one for one in trainer.model.modules() if type(one).__name__ == "GLMBlock"]
        seen: list[int] = []
        for at, one in enumerate((blocks[0], blocks[-1])):
            one.post_attention_layernorm.register_forward_hook(
                lambda *_, n=at, into=seen: into.append(n)
            )
        trainer.train()
        calls.append(seen)
        found.append(dict(trainer.model.named_parameters()))
    assert sorted(calls[0]) == [0, 1]
    assert sorted(calls[1]) == ([0, 0, 1, 1] if reentrant else [0, 1, 1])
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value)
    assert len(found[0]) >= 17


def test_a_checkpoint_is_a_model_that_is_gone_on_from_and_evaluated(tmp_path: Path, base):
    half: dict[str, Any] = {"bf16": True, "precision.dtype": "bfloat16"}
    flags = {**FREEZE, **half, "max_steps": 2, "save_steps": 1}
    whole = trained(tmp_path, base("chatglm2"), **flags)
    folder = tmp_path / "out" / "checkpoint-2"
    saved = load_file(folder / "model.safetensors")
    assert set(saved) == set(load_file(base("chatglm2") / "model.safetensors"))
    assert {one.dtype for one in saved.values()} == {torch.bfloat16, torch.float32}
    disk = foresee(run_of(training(tmp_path, base("chatglm2"), **flags))).disk
    assert disk is not None
    assert disk.weights == (folder / "model.safetensors").stat().st_size
    again = tmp_path / "again"
    resumed = trained(
        again, base("chatglm2"), **flags, resume_from_checkpoint=tmp_path / "out" / "checkpoint-1"
    )
    last = load_file(again / "out" / "checkpoint-2" / "model.safetensors")
    assert all(torch.equal(last[name], tensor) for name, tensor in saved.items())
    assert whole.disagreements == resumed.disagreements == []
    model = load_model(folder, dtype=torch.float32)
    assert all(torch.equal(value, saved[n].float()) for n, value in model.state_dict().items())
    assert main(["export", str(folder), str(tmp_path / "exported"), "--dtype", "float32"]) == 0
    written = load_file(tmp_path / "exported" / "model.safetensors")
    assert all(torch.equal(written[name], one.float()) for name, one in saved.items())


@pytest.mark.parametrize(
    ("chosen", "what", "fix"),
    [
        ({"method.freeze.modules": "mpl"}, "inside the blocks is called 'mpl'", "write 'mlp'"),
        ({"method.freeze.extra": "out_layer"}, "outside the blocks", "write 'output_layer'"),
        ({"method.freeze.layers": 0}, "nothing would train", "--method.freeze.layers 2"),
        ({"quantization_bit": 4}, "held in 4 bits", "LoRA"),
        ({"precision.dtype": "bfloat16"}, "no autocast", "--bf16 true"),
    ],
)
def test_what_cannot_train_is_refused_with_a_way_out(tmp_path: Path, base, chosen, what, fix):
    with pytest.raises(UserError) as refused:
        trainer_of(training(tmp_path, base("chatglm2"), **FREEZE | chosen))
    problem = refused.value.problems[0]
    assert what in problem.what and fix in problem.fix


def test_a_checkpoint_of_another_method_is_refused(tmp_path: Path, base):
    trained(tmp_path, base("chatglm2"), max_steps=1, pre_seq_len=None, lora_rank=2)
    line = training(
        tmp_path / "on", base("chatglm2"), **FREEZE,
        ptuning_checkpoint=tmp_path / "out" / "checkpoint-1",
    )  # fmt: skip
    with pytest.raises(UserError, match="what lora has trained"):
        trainer_of(line)
