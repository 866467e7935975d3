"""Training of a part of the model, as it is planned: from which block on activations are kept, what
trains by which name, and how LLaMA-Factory's file says it.
"""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from foretune.formats.llama_factory import write
from foretune.formats.read import read
from foretune.params.arch import read_architecture
from foretune.params.arch.shape import Shape
from foretune.params.run import Run
from foretune.plan.devices import device_named
from foretune.plan.memory.peak import memory
from foretune.plan.part import Part, begins_at, part_of, unknown, untouched
from foretune.plan.search.answer import answer
from foretune.plan.search.offer import offers
from foretune.plan.setup import FP32, Kernels, Precision, Setup
from foretune.plan.step_time import Hardware, step_time
from foretune.tune import method
from search_tasks import LLAMA_8B, task_of

LLAMA: dict[str, Any] = {
    "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8, "vocab_size": 64,
    "num_attention_heads": 8, "num_key_value_heads": 8,
}  # fmt: skip


def sizes() -> Shape:
    architecture, _ = read_architecture({"model_type": "llama", **LLAMA})
    assert architecture is not None
    return architecture.shape


class Held:
    """A tensor that autograd has saved, as long as it keeps it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


def kept(run: Run, *, half: bool, checkpointing: bool) -> int:
    """Bytes that autograd keeps of a forward pass, parameters apart."""
    config = AutoConfig.for_model("llama", **LLAMA)
    dtype = torch.bfloat16 if half else torch.float32
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model = method("freeze").attach(model, run).train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    own = {one.untyped_storage().data_ptr() for one in model.parameters()}
    saved: list[weakref.ref[Held]] = []

    def pack(tensor: torch.Tensor) -> Held:
        held = Held(tensor)
        saved.append(weakref.ref(held))
        return held

    ids = torch.full((2, 128), 7)
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = model(input_ids=ids, labels=ids, use_cache=False)
    gc.collect()
    there = [held.tensor.untyped_storage() for one in saved if (held := one()) is not None]
    assert out.loss.requires_grad
    return sum({s.data_ptr(): s.nbytes() for s in there if s.data_ptr() not in own}.values())


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("layers", [2, -2])
def test_activations_are_kept_from_the_first_trained_block_on(
    layers: int, half: bool, checkpointing: bool
):
    settings = {"launch.train": True, "method.name": "freeze", "method.freeze.layers": layers}
    if half:
        settings |= {"precision.mixed": "bf16", "precision.dtype": "bfloat16"}
    run = Run().set(settings)
    setup = Setup(
        length=128, micro=2, part=part_of(run.method.freeze), kernels=Kernels(),
        precision=Precision(weights=2, compute=2) if half else FP32,
        checkpointing="full" if checkpointing else "none",
    )  # fmt: skip
    moment = memory(sizes(), setup).moments["loss"]
    told = moment.activations + (0 if checkpointing else moment.temporary)
    made = kept(run, half=half, checkpointing=checkpointing)
    assert told == pytest.approx(made, rel=0.05, abs=2**19)


def test_blocks_are_counted_from_either_end():
    for layers, chosen in ((2, [6, 7]), (-2, [0, 1]), (0, []), (99, [*range(8)])):
        assert list(Part(layers=layers).blocks(8)) == chosen
    shape = sizes()
    firsts = {
        Part(layers=2): (6, 6), Part(layers=-2): (0, 0), Part(layers=0, extra=("lm_head",)): (8, 8),
        Part(layers=1, extra=("embed_tokens",)): (0, 0), Part(layers=3, extra=("norm",)): (5, 5),
    }  # fmt: skip
    for part, found in firsts.items():
        assert (untouched(shape, part), begins_at(shape, part, checkpointing=False)) == found


def test_a_name_stands_for_modules_and_for_no_part_of_a_word():
    names = [name for one in sizes().weights for name in one.names()]
    wrong = Part(layers=1, modules=("mlp", "down", "self_attn.q_proj"), extra=("norm", "head"))
    assert [(setting, name) for setting, name, _ in unknown(wrong, names)] == [
        ("method.freeze.modules", "down"), ("method.freeze.extra", "head")
    ]  # fmt: skip


def test_a_part_takes_less_memory_and_time_than_everything():
    hardware, shape = Hardware(device=device_named("RTX 4090")), sizes()
    steps = [Setup(length=256, part=part) for part in (Part(layers=1), Part(layers=4), None)]
    used = [memory(shape, one).allocated for one in steps]
    times = [step_time(shape, one, hardware).seconds for one in steps]
    assert used == sorted(used) and times == sorted(times) and len(set(used)) == 3


def test_a_search_keeps_the_part_and_packs_nothing():
    chosen = {"method__name": "freeze", "method__freeze__layers": 3, "data__max_length": 1024}
    found = answer(task_of(LLAMA_8B, **chosen), offers("1xA100"), goal="time")
    assert len(found.front) >= 2
    for one in found.front:
        assert (one.choice.method, one.choice.quantize) == ("freeze", None)
        assert one.setup.part == Part(layers=3)


FACTORY = """
model_name_or_path: base
stage: sft
finetuning_type: freeze
freeze_trainable_layers: -3
freeze_trainable_modules: {}
freeze_extra_modules: embed_tokens, norm
cutoff_len: 512
"""


@pytest.mark.parametrize(
    ("written", "modules"), [("mlp,self_attn", ("mlp", "self_attn")), ("all", None)]
)
def test_llama_factorys_freeze_is_read_and_written(tmp_path: Path, written: str, modules: Any):
    file = tmp_path / "sft.yaml"
    file.write_text(FACTORY.format(written), encoding="utf-8")
    run = read(str(file))
    freeze = run.method.freeze
    assert (run.method.name, freeze.layers, freeze.modules) == ("freeze", -3, modules)
    assert freeze.extra == ("embed_tokens", "norm")
    again = write(run, Run())
    assert again["finetuning_type"] == "freeze" and again["freeze_trainable_layers"] == -3
    assert again.get("freeze_trainable_modules") == (None if modules is None else written)
    assert again["freeze_extra_modules"] == "embed_tokens,norm"
