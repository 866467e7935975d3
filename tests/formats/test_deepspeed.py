"""DeepSpeed's ds_config.json: every key declared, read with its line, and written back."""

from __future__ import annotations

import importlib.util
import inspect
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from foretune.errors import Problem, UserError
from foretune.formats.deepspeed import KEYS, own_keys, read_deepspeed, sections, write
from foretune.formats.deepspeed_autos import RULES, resolved_autos
from foretune.formats.deepspeed_names import ALIASES, REMOVED, RENAMED, STRICT
from foretune.formats.kinds import kind_of
from foretune.formats.read import read, read_sound
from foretune.formats.reading import Reading
from foretune.params.arch import read_architecture
from foretune.params.run import Run, compose, compose_sound, parameters
from foretune.params.setting import AUTO

PUBLISHED = json.loads((Path(__file__).parent / "deepspeed_0_19_8.json").read_text("utf-8"))
"""The keys of DeepSpeed 0.19.8, taken from its source; the file says which from where."""

ZERO_3 = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "fp16": {"enabled": "auto"},
    "bf16": {"enabled": "auto"},
    "optimizer": {
        "type": "AdamW",
        "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"},
    },
    "scheduler": {
        "type": "WarmupDecayLR",
        "params": {
            "total_num_steps": "auto",
            "warmup_min_lr": "auto",
            "warmup_max_lr": "auto",
            "warmup_num_steps": "auto",
        },
    },
    "zero_optimization": {
        "stage": 3,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        "offload_optimizer": {"device": "cpu", "pin_memory": True},
    },
}


def reading(values: object) -> Reading:
    return read_deepspeed(json.dumps(values, indent=2), "ds_config.json")


def run_of(values: object) -> Run:
    found = reading(values)
    assert found.problems == []
    return compose(found.settings, found.notes)


def problem(values: object) -> Problem:
    """The one thing that is wrong."""
    found = reading(values)
    problems = [*found.problems, *compose_sound(found.settings)[1]]
    assert len(problems) == 1, problems
    return problems[0]


# --- every key


def test_every_key_of_deepspeed_is_declared():
    known = {*own_keys(), *KEYS, *sections(), *ALIASES, *RENAMED, "bfloat16"}
    existing = {*PUBLISHED["defaults"], *PUBLISHED["read"], *PUBLISHED["documented"]}
    assert len(existing) > 340
    assert existing - known == set()


def test_what_is_declared_beyond_its_code_is_known_by_name():
    existing = {*PUBLISHED["defaults"], *PUBLISHED["read"], *PUBLISHED["documented"]}
    existing |= {ALIASES.get(key, key) for key in existing} | PUBLISHED["removed"].keys()
    beyond = {key for key in own_keys() if key not in existing}
    free = ("optimizer.params.", "data_efficiency.data_routing.random_ltd.", "pipeline.")
    assert {key for key in beyond if not key.startswith(free)} == {
        "msamp",  # accelerate's
        "sequence_parallel_size",  # deepspeed/__init__.py
        "data_parallel_size",
        "data_efficiency.data_sampling.dynamic_batching.metrics_path",
    }


def test_declared_defaults_are_those_of_the_code():
    from_elsewhere = {"zero_optimization.leaf_module.classes", "tensor_parallel.dtype"}
    seen = 0
    for key, default in PUBLISHED["defaults"].items():
        name = ALIASES.get(key, key)
        if name in own_keys() and key not in from_elsewhere:
            declared = parameters()[own_keys()[name]].default
            seen += 1
            declared = list(declared) if isinstance(declared, tuple) else declared
            assert declared == default, key
    assert seen > 140


def test_removed_keys_say_since_when():
    assert PUBLISHED["removed"] == REMOVED
    (note,) = reading({"elasticity": {"enabled": False}}).notes
    assert note.what == "elasticity is refused by DeepSpeed since 0.19.8"
    assert note.where == "ds_config.json:2 (elasticity)"


def test_strict_sections_are_the_pydantic_ones():
    heads = {key.split(".")[0] for key in PUBLISHED["defaults"]}
    assert {section.split(".")[0] for section in STRICT} == heads


@pytest.mark.skipif(not importlib.util.find_spec("deepspeed"), reason="DeepSpeed is not installed")
def test_the_installed_deepspeed_has_no_further_key():
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig  # pyright: ignore

    fields: dict[str, Any] = DeepSpeedZeroConfig.model_fields
    assert len(fields) > 30
    names = {f"zero_optimization.{field.alias or name}" for name, field in fields.items()}
    assert names - {*own_keys(), *sections(), *RENAMED, *ALIASES} == set()


def test_every_shared_key_is_one_that_transformers_matches_with_an_argument():
    deepspeed = pytest.importorskip("transformers.integrations.deepspeed")
    source = inspect.getsource(deepspeed.HfTrainerDeepSpeedConfig)
    filled = re.findall(r'fill_(?:match|only)\(\s*"([\w.]+)"', source)
    assert len(filled) == 17
    assert set(KEYS) <= set(filled)
    assert set(filled) - set(KEYS) == {
        "train_batch_size",
        "scheduler.params.warmup_min_lr",
        "scheduler.params.total_num_steps",
        "zero_optimization.reduce_bucket_size",
        "zero_optimization.stage3_prefetch_bucket_size",
        "zero_optimization.stage3_param_persistence_threshold",
    }
    assert set(filled) <= {*KEYS, *RULES}


def test_every_other_auto_that_is_taken_is_filled_in_by_accelerate():
    dataclasses = pytest.importorskip("accelerate.utils.dataclasses")
    source = inspect.getsource(dataclasses.DeepSpeedPlugin.__post_init__)
    mapping = source.partition("plugin_to_config_mapping = {")[2].partition("}")[0]
    filled = set(re.findall(r': "([\w.]+)"', mapping))
    assert len(filled) == 8
    ours = {key for key in RULES if key.startswith("zero_optimization.") and "bucket" not in key}
    assert ours - {"zero_optimization.stage3_param_persistence_threshold"} <= filled


# --- reading


def test_the_published_file_is_read_with_its_lines(shared: Path):
    text = (shared / "inputs/baichuan2-13b/ds_config.json").read_text("utf-8")
    found = read_deepspeed(text, "ds_config.json")
    assert found.problems == [] and found.notes == []
    lines = {setting.origin.spelling: setting.origin.line for setting in found.settings}
    assert lines["train_batch_size"] == 2
    assert lines["bf16.enabled"] == 7
    assert lines["zero_optimization.stage"] == 10
    assert lines["flops_profiler.output_file"] == 20
    assert len(lines) == 14


def test_the_published_file_is_written_back_as_it_was(shared: Path):
    text = (shared / "inputs/baichuan2-13b/ds_config.json").read_text("utf-8")
    run = compose(read_deepspeed(text, "ds_config.json").settings)
    assert json.loads(write(run)) == json.loads(text)
    assert list(json.loads(write(run))) == list(json.loads(text))


def test_every_key_comes_back_with_its_value():
    values: dict[str, Any] = {}
    for key, path in own_keys().items():
        section: Any = values
        for name in key.split(".")[:-1]:
            section = section.setdefault(name, {})
        default = parameters()[path].default
        section[key.split(".")[-1]] = list(default) if isinstance(default, tuple) else default
    values["optimizer"]["type"], values["scheduler"]["type"] = "AdamW", "WarmupLR"
    run = run_of(values)
    assert len(run.settings) >= len(own_keys()) > 350
    assert json.loads(write(run)) == values


def test_autos_are_settings_that_leave_their_value_to_another_source():
    run = run_of(ZERO_3)
    assert {setting.path for setting in run.autos} == {*KEYS.values(), "optim.beta2"}
    assert run.deepspeed.train_batch_size == "auto"
    assert run.deepspeed.zero_optimization.reduce_bucket_size == "auto"
    assert json.loads(write(run)) == ZERO_3


def test_a_precision_that_is_off_says_nothing_where_the_other_is_on():
    run = run_of({"fp16": {"enabled": False}, "bf16": {"enabled": True}})
    assert run.precision.mixed == "bf16"
    assert json.loads(write(run))["fp16"] == {"enabled": False}


def test_floats_that_are_whole_are_numbers_of_elements():
    run = run_of({"zero_optimization": {"reduce_bucket_size": 5e8, "sub_group_size": 1e9}})
    assert run.deepspeed.zero_optimization.reduce_bucket_size == 500_000_000


def test_words_in_another_case_are_the_words():
    run = run_of({"checkpoint": {"tag_validation": "Fail"}, "communication_data_type": "FP32"})
    assert run.deepspeed.checkpoint.tag_validation == "FAIL"
    assert run.deepspeed.communication_data_type == "fp32"


def test_params_of_a_class_of_torch_are_kept_as_they_are():
    values = {"optimizer": {"type": "SGD", "params": {"lr": 0.1, "nesterov": True}}}
    run = run_of(values)
    assert run.deepspeed.optimizer.params.other == {"nesterov": True}
    assert json.loads(write(run))["optimizer"] == values["optimizer"]
    assert problem({"optimizer": {"type": "Adam", "params": {"nesterov": True}}})


@pytest.mark.parametrize(
    ("old", "path", "value"),
    [
        ({"cpu_offload": True}, "offload_optimizer.device", "cpu"),
        ({"cpu_offload": False}, "offload_optimizer.device", "none"),
        ({"cpu_offload_param": True}, "offload_param.device", "cpu"),
        (
            {"stage3_gather_fp16_weights_on_model_save": True},
            "stage3_gather_16bit_weights_on_model_save",
            True,
        ),
    ],
)
def test_old_names_are_read_as_the_new_ones_with_a_note(old: object, path: str, value: object):
    run = run_of({"zero_optimization": old})
    assert run.get(f"deepspeed.zero_optimization.{path}") == value
    assert [note.kind for note in run.notes] == ["renamed"]


def test_names_of_which_the_documentation_is_out_of_date_are_noted():
    run = run_of({"aio": {"thread_count": 4}, "bfloat16": {"enabled": True}})
    assert run.deepspeed.aio.intra_op_parallelism == 4
    assert run.precision.mixed == "bf16"
    assert len(run.notes) == 2


@pytest.mark.parametrize(
    ("values", "what", "where", "fix"),
    [
        (
            {"zero_optimization": {"stagee": 2}},
            "there is no key zero_optimization.stagee",
            "ds_config.json:3 (zero_optimization.stagee)",
            "write zero_optimization.stage",
        ),
        (
            {"stage": 2},
            "there is no key stage",
            "ds_config.json:2 (stage)",
            "write zero_optimization.stage",
        ),
        (
            {"train_micro_batch_size_per_gpu": "8"},
            'train_micro_batch_size_per_gpu = "8" is text',
            "ds_config.json:2 (train_micro_batch_size_per_gpu)",
            "take the quotes away",
        ),
        (
            {"zero_optimization": {"stage": "three"}},
            'zero_optimization.stage = "three" is text',
            "ds_config.json:3 (zero_optimization.stage)",
            "write a number, true or false",
        ),
        (
            {"wall_clock_breakdown": "true"},
            'wall_clock_breakdown = "true" is text',
            "ds_config.json:2 (wall_clock_breakdown)",
            "take the quotes away",
        ),
        (
            {"zero_optimization": {"stage3_max_live_parameters": "auto"}},
            'zero_optimization.stage3_max_live_parameters is "auto", and nobody fills it in',
            "ds_config.json:3 (zero_optimization.stage3_max_live_parameters)",
            "leave the key out for its default, or write a value",
        ),
        (
            {"zero_optimization": True},
            "zero_optimization = true is no section",
            "ds_config.json:2 (zero_optimization)",
            'write "zero_optimization": {...} with the keys that are meant',
        ),
        (
            {"optimizer": {"params": {"max_grad_norm": 1.0}}},
            "there is no key optimizer.params.max_grad_norm",
            "ds_config.json:4 (optimizer.params.max_grad_norm)",
            "write gradient_clipping",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_its_way_out(
    values: dict[str, object], what: str, where: str, fix: str
):
    if "optimizer" in values:
        values = {"optimizer": {"type": "AdamW", "params": {"max_grad_norm": 1.0}}}
        where = "ds_config.json:5 (optimizer.params.max_grad_norm)"
    found = problem(values)
    assert (found.what, found.where, found.fix) == (what, where, fix)
    assert found.why


@pytest.mark.parametrize(
    "values",
    [
        {"zero_optimization": {"stage": 5}},
        {"zero_optimization": {"stage": 2.5}},
        {"zero_optimization": {"reduce_bucket_size": 0}},
        {"zero_optimization": {"offload_optimizer": {"ratio": 2}}},
        {"zero_optimization": {"offload_optimizer": {"device": "disk"}}},
        {"gradient_accumulation_steps": 0},
        {"fp16": {"loss_scale": -1}},
        {"wall_clock_breakdown": 1},
        {"optimizer": {"type": "AdamW", "params": {"betas": 0.9}}},
        {"zero_optimization": {"stage": [3]}},
        {"zero_optimization": {"stage": {"a": 1}}},
    ],
)
def test_values_out_of_range_and_of_another_type_are_problems(values: object):
    assert problem(values).where.startswith("ds_config.json:")


def test_a_key_that_is_given_twice_is_a_problem():
    found = read_deepspeed('{\n"gradient_clipping": 1,\n"gradient_clipping": 2}', "ds.json")
    (wrong,) = found.problems
    assert (wrong.what, wrong.where) == ("gradient_clipping is given twice", "ds.json:3")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{", "{'a': 1}", "[" * 100_000, ""])
def test_what_is_no_ds_config_is_refused(text: str):
    with pytest.raises(UserError):
        read_deepspeed(text, "ds_config.json")


def test_mutated_files_give_problems_and_no_traceback():
    rng = random.Random(5)
    text = json.dumps(ZERO_3, indent=1)
    values: list[object] = [None, True, -1, 1e30, "auto", "x", [], {}, [1], {"a": 1}, "\u2028"]
    seen = 0
    for _ in range(400):
        tree = json.loads(text)
        section = tree
        while rng.random() < 0.6:
            inner = [one for one in section.values() if isinstance(one, dict) and one]
            section = rng.choice(inner) if inner else section
        section[rng.choice([*section, "new", "", "a.b"])] = rng.choice(values)
        found = read_deepspeed(json.dumps(tree), "ds_config.json")
        run, problems = compose_sound(found.settings)
        assert all(one.what and one.where and one.fix for one in (*found.problems, *problems))
        write(run)
        seen += 1
    assert seen == 400


# --- beside a run


def test_a_file_is_known_by_its_content():
    assert kind_of(json.dumps(ZERO_3), "any.json") == "deepspeed"
    assert kind_of('{"fp16": {"enabled": true}}', "any.json") == "deepspeed"
    assert kind_of('{"learning_rate": 1e-4, "fp16": true}', "any.json") == "arguments"
    assert kind_of('{"deepspeed": "ds.json", "output_dir": "x"}', "any.json") == "arguments"


def test_a_script_brings_the_file_it_names_and_its_own_flags_count_more(tmp_path: Path):
    (tmp_path / "ds.json").write_text(
        '{"train_micro_batch_size_per_gpu": 2, "zero_optimization": {"stage": 2}}'
    )
    script = tmp_path / "train.sh"
    script.write_text(
        "deepspeed --num_gpus 1 main.py --do_train --deepspeed ds.json"
        " --per_device_train_batch_size 4"
    )
    run = read(script)
    assert run.batch.micro == 4
    assert run.deepspeed.zero_optimization.stage == 2
    assert [one.value for one in run.settings if one.path == "batch.micro"] == [2, "4"]
    twice = read(script, tmp_path / "ds.json")
    assert twice.batch.micro == 4
    assert len(twice.settings) == len(run.settings)


def test_a_file_that_is_not_there_is_noted(tmp_path: Path):
    script = tmp_path / "train.sh"
    script.write_text("python main.py --do_train --deepspeed no.json\n# the end\n")
    notes = [note.what for note in read(script).notes]
    assert notes == ["no.json is not there"]


def test_the_problems_of_a_file_that_a_script_names_are_told(tmp_path: Path):
    (tmp_path / "ds.json").write_text('{"zero_optimization": {"stage": 7}}')
    script = tmp_path / "train.sh"
    script.write_text("python main.py --do_train --deepspeed ds.json")
    run, problems = read_sound(script)
    assert [one.what for one in problems] == [
        "deepspeed.zero_optimization.stage = 7 cannot be used"
    ]
    assert run.launch.train


def test_a_file_by_itself_is_the_file_of_the_run(tmp_path: Path):
    file = tmp_path / "ds.json"
    file.write_text(json.dumps(ZERO_3))
    assert read(file).launch.deepspeed == str(file)


def test_three_files_make_one_run(shared: Path):
    inputs = shared / "inputs/baichuan2-13b"
    run = read(inputs / "config.json", inputs / "train.sh", inputs / "ds_config.json")
    assert run.batch.micro == 16
    assert run.deepspeed.zero_optimization.stage == 3
    assert run.precision.mixed == "bf16"


# --- what becomes of "auto"


def test_every_auto_is_what_transformers_makes_of_it():
    config = {"model_type": "chatglm", "hidden_size": 4096, "num_layers": 28}
    config |= {"ffn_hidden_size": 13696, "multi_query_group_num": 2, "padded_vocab_size": 65024}
    architecture, _ = read_architecture(config)
    assert architecture is not None
    run = run_of(ZERO_3).set(
        {"batch.micro": 4, "batch.accumulation": 2, "launch.processes": 8, "optim.beta2": 0.95,
         "precision.mixed": "bf16", "schedule.warmup": 0.1}
    )  # fmt: skip
    found = {auto.key: auto.value for auto in resolved_autos(run, architecture.shape, 1005)}
    assert found == {
        "train_batch_size": 64,
        "train_micro_batch_size_per_gpu": 4,
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 1.0,
        "fp16.enabled": False,
        "bf16.enabled": True,
        "optimizer.params.lr": 5e-5,
        "optimizer.params.betas": [0.9, 0.95],
        "optimizer.params.eps": 1e-8,
        "optimizer.params.weight_decay": 0.0,
        "scheduler.params.total_num_steps": 1005,
        "scheduler.params.warmup_min_lr": 0,
        "scheduler.params.warmup_max_lr": 5e-5,
        "scheduler.params.warmup_num_steps": 101,
        "zero_optimization.reduce_bucket_size": 16_777_216,
        "zero_optimization.stage3_prefetch_bucket_size": 15_099_494,
        "zero_optimization.stage3_param_persistence_threshold": 40_960,
    }


def test_an_auto_says_where_its_value_comes_from():
    found = {auto.key: auto for auto in resolved_autos(run_of(ZERO_3).set({"batch.micro": 4}))}
    assert str(found["train_micro_batch_size_per_gpu"].origin) == "command line (batch.micro)"
    assert found["optimizer.params.lr"].origin.reason == "the default of optim.learning_rate"
    assert found["zero_optimization.reduce_bucket_size"].value is None
    assert found["bf16.enabled"].origin.reason == "no --bf16 is given"


def test_without_a_warm_up_transformers_writes_one_step():
    values = {"scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": "auto"}}}
    (auto,) = resolved_autos(run_of(values))
    assert (auto.path, auto.value) == ("schedule.warmup", 1)


def test_accelerate_refuses_the_autos_that_are_called_problems_here():
    plugins = pytest.importorskip("accelerate.utils.dataclasses")
    values = {"zero_optimization": {"stage": 3, "stage3_max_live_parameters": "auto"}}
    plugin = plugins.DeepSpeedPlugin(hf_ds_config=values)
    with pytest.raises(ValueError, match="stage3_max_live_parameters"):
        plugin.deepspeed_config_process(must_match=False)
    assert reading(values).problems


def test_what_a_run_sets_without_a_file_is_written_with_the_autos_that_are_needed():
    run = compose([]).set({"deepspeed.zero_optimization.stage": 2})
    assert json.loads(write(run)) == {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": {"stage": 2},
    }
    assert AUTO not in (setting.value for setting in run.settings)
