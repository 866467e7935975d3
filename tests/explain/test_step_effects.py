"""What a value does to a training step is what ``foretune plan`` says of the two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.diff.command import diff, laid_out
from foretune.explain.command import explain
from foretune.explain.entry import find
from foretune.explain.planned import Effect, Planned, effect, plan_of
from foretune.formats.model_config import model_file
from foretune.formats.read import read
from foretune.params.run import Run
from foretune.plan.forecast import Forecast
from foretune.text import size
from foretune.train.foresee import foresee

CHATGLM2 = ("chatglm2-6b/config.json", "chatglm2-6b/train.sh")
BAICHUAN2 = ("baichuan2-13b/config.json", "baichuan2-13b/train.sh", "baichuan2-13b/ds_config.json")
WHOLE = {"method.name": "full", "precision.quantize": None}
STEP = {"step_bytes", "run_bytes", "activation_bytes", "step_flops", "step_tokens", "written_bytes"}


def planned_with(shared: Path, files: tuple[str, ...], settings: dict[str, object]) -> Planned:
    run = read(*[shared / "inputs" / name for name in files]).set(settings)
    return plan_of(run, model_file(run))


def effect_of(planned: Planned, name: str) -> Effect | None:
    (entry,) = [one for one in find(name).entries if one.owner is None or planned.has(one)]
    return effect(planned, entry)


def figures(run: Run) -> dict[str, float]:
    """What ``foretune plan`` says."""
    told: Forecast = foresee(run, needs_data=False)
    assert told.memory is not None and told.flops is not None and told.disk is not None
    return {
        "step_bytes": told.memory.step.total,
        "run_bytes": told.memory.allocated,
        "activation_bytes": told.memory.moments["loss"].activations,
        "step_flops": told.flops.exact,
        "step_tokens": told.usual.step_tokens if told.usual else 0,
        "written_bytes": told.disk.checkpoint,
    }


@pytest.mark.parametrize(
    ("files", "settings", "key", "first"),
    [
        (CHATGLM2, {}, "batch.micro", "step_bytes"),
        (CHATGLM2, {}, "batch.accumulation", "total_batch"),
        (CHATGLM2, {}, "batch.gradient_checkpointing", "step_bytes"),
        (CHATGLM2, {}, "data.max_source_length", "step_bytes"),
        (CHATGLM2, {}, "method.prefix.length", "trainable_parameters"),
        (CHATGLM2, {}, "precision.quantize", "step_bytes"),
        (CHATGLM2, {"method.name": "lora"}, "method.lora.rank", "trainable_parameters"),
        (BAICHUAN2, {}, "optim.name", "step_bytes"),
        (BAICHUAN2, {}, "precision.mixed", "step_bytes"),
        (BAICHUAN2, {"launch.processes": 8}, "deepspeed.zero_optimization.stage", "step_bytes"),
        (
            BAICHUAN2,
            {"launch.processes": 8, "deepspeed.zero_optimization.offload_optimizer.device": "cpu"},
            "deepspeed.zero_optimization.offload_optimizer.device",
            "step_bytes",
        ),
        (
            CHATGLM2,
            {"launch.processes": 8, "launch.fsdp": "full_shard", **WHOLE},
            "launch.fsdp",
            "step_bytes",
        ),
    ],
)
def test_an_effect_is_what_plan_says_of_both_runs(
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: tuple[str, ...],
    settings: dict[str, object],
    key: str,
    first: str,
):
    monkeypatch.chdir(shared / "inputs" / Path(files[0]).parent)
    planned = planned_with(shared, files, settings)
    found = effect_of(planned, key)
    assert found is not None and found.changes[0].name == first
    here, other = (figures(run) for run in (planned.run, planned.written.set({key: found.against})))
    told = {one.name: one for one in found.changes if one.name in STEP}
    assert told
    for name, change in told.items():
        assert change.here.value == pytest.approx(here[name], rel=1e-6), name
        assert change.other.value == pytest.approx(other[name], rel=1e-6), name
    for name in ("step_bytes", "step_flops", "step_tokens"):
        if name not in told:  # and what is not told does not differ visibly
            assert other[name] == pytest.approx(here[name], rel=0.011), name


def test_a_size_of_the_model_changes_the_step_of_the_run_beside_it(shared: Path, tmp_path: Path):
    planned = planned_with(shared, CHATGLM2, {})
    found = effect_of(planned, "config.num_layers")
    assert found is not None and found.changes[0].name == "step_bytes"
    keys = json.loads((shared / "inputs/chatglm2-6b/config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(keys | {"num_layers": found.against}))
    other = read(tmp_path / "config.json", shared / "inputs/chatglm2-6b/train.sh")
    assert found.changes[0].other.value == pytest.approx(figures(other)["step_bytes"])


def test_the_parts_of_the_peak_are_said_in_its_own_unit(shared: Path):
    text = " ".join(explain(planned_with(shared, CHATGLM2, {}).written).split())
    assert "weights 3.661 + " in text and "= 3.874 GiB" in text
    assert text.count("weights 3.661 + ") == 1  # a formula is told once
    amount = planned_with(shared, CHATGLM2, {}).amounts["step_bytes"]
    parts = amount.text_in("en").rpartition(" = ")[0].split(" + ")
    total = sum(float(part.rsplit(" ", 1)[1]) for part in parts)
    assert len(parts) >= 4 and abs(total - amount.value / 2**30) < 0.003
    assert amount.text_in("zh").startswith("权重 ")


def test_what_the_figures_of_a_step_rest_on_is_said_once_and_first(shared: Path):
    run = planned_with(shared, CHATGLM2, {}).written
    for language, words in (("en", "every row is as long as"), ("zh", "每行都达到长度上限")):
        for form in ("text", "md", "html"):
            text = explain(run, language=language, format=form)
            assert text.count(words) == 1
            assert text.index(words) < text.index("max_source_length")
    assert len(json.loads(explain(run, format="json"))["assumed"]) == 2
    assert "as long as its limit" not in explain(run, ["record.save_steps"])


def test_rows_that_are_padded_to_their_limit_are_no_assumption(shared: Path):
    run = planned_with(shared, CHATGLM2, {"data.protocol": "official"}).written
    text = explain(run)
    assert "Peak memory of a step" in text and "as long as its limit" not in text


@pytest.mark.parametrize(
    "files", [CHATGLM2[:1], ("chatglm-6b/config.json", "chatglm-6b/evaluate.sh")]
)
def test_without_a_run_that_trains_there_is_no_step(shared: Path, files: tuple[str, ...]):
    planned = planned_with(shared, files, {})
    assert planned.amounts and not planned.amounts.keys() & (STEP | {"gradient_bytes"})
    assert "Peak memory" not in explain(planned.written)


def test_a_peak_outside_the_step_is_told_beside_it(shared: Path):
    files = ("baichuan2-13b/config.json", "baichuan2-13b/train.sh", "accelerate/accelerate.yaml")
    planned = planned_with(shared, files, {})
    found = effect_of(planned, "method.name")
    assert found is not None
    assert [one.name for one in found.changes[:2]] == ["step_bytes", "run_bytes"]
    whole = planned.amounts["run_bytes"].text_in("en")
    assert whole.startswith("max(step ") and whole.endswith(f"= {size(55_586_672_640)}")


def test_weights_that_config_json_says_are_packed_count_as_packed(shared: Path):
    folder = shared / "inputs/chatglm2-6b-finetuned"
    found = effect_of(
        plan_of(run := read(folder / "config.json"), model_file(run)), "config.quantization_bit"
    )
    assert found is not None
    (change,) = [one for one in found.changes if one.name == "weight_bytes"]
    small, large = sorted((change.here.value, change.other.value))
    assert 0.3 < small / large < 0.33


def test_diff_says_the_memory_of_a_step_and_what_it_rests_on_once(shared: Path, tmp_path: Path):
    files = [shared / "inputs" / name for name in CHATGLM2]
    script = tmp_path / "train.sh"
    text = files[1].read_text(encoding="utf-8")
    written = "--per_device_train_batch_size"
    script.write_text(text.replace(f"{written} 1", f"{written} 8"), encoding="utf-8")
    found = diff(read(*files), read(files[0], script))
    for language, words in (("en", "every row is as long as"), ("zh", "每行都达到长度上限")):
        told = laid_out(found, language=language)
        assert told.count("3.874 GiB → 5.225 GiB") == 2  # of the value, and of all together
        assert told.count(words) == 1
        assert " TFLOP → " in told
