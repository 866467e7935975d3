"""transformers' names for the parameters of a run, held against the transformers installed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretune.errors import UserError
from foretune.formats.argument_text import TRUTH, boolean, mapping
from foretune.formats.removed_arguments import REMOVED
from foretune.formats.training_arguments import (
    GONE_OPTIMIZERS,
    KEYS,
    kind_of,
    negated,
    note,
    read,
    read_all,
    write,
)
from foretune.params.run import Run, compose, parameters
from foretune.params.setting import Origin
from foretune.params.trainer import Trainer

transformers = pytest.importorskip("transformers")

ORIGIN = Origin("train.sh", 3, "--flag")
FIELDS = {field.name: field for field in dataclasses.fields(transformers.Seq2SeqTrainingArguments)}
SINCE_5_23 = {"activation_checkpointing", "activation_checkpointing_kwargs"}


def default_of(name: str) -> Any:
    field = FIELDS[name]
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def run_with(name: str, value: object, *, text: bool = False) -> Run:
    return compose(read(name, value, ORIGIN, text))


def test_every_field_of_the_installed_class_has_a_home():
    unknown = [name for name in FIELDS if name not in KEYS]
    assert not unknown, f"give these a home in KEYS (Trainer, if nowhere else): {unknown}"
    assert len(FIELDS) >= 117


def test_every_name_we_know_is_a_field_of_the_installed_class():
    lacking = {name for name in KEYS if name not in FIELDS}
    assert lacking <= SINCE_5_23, f"this transformers has no {sorted(lacking - SINCE_5_23)}"
    assert not (REMOVED.keys() - {"no_save_safetensors"}) & FIELDS.keys()


def test_every_home_is_a_parameter_and_has_one_name():
    assert all(path in parameters() for path in KEYS.values())
    several = {path for path, count in Counter(KEYS.values()).items() if count > 1}
    assert several == {
        "precision.mixed",
        "precision.full_eval",
        "batch.gradient_checkpointing",
        "batch.gradient_checkpointing_kwargs",
    }
    own = {name for name, path in KEYS.items() if path.startswith("trainer.")}
    assert own == set(Trainer.model_fields)


def test_declared_defaults_are_those_of_the_installed_class():
    seen = 0
    for name in FIELDS:
        seen += 1
        for setting in read(name, default_of(name), ORIGIN):
            run = compose([setting])
            assert run.get(setting.path) == Run().get(setting.path), name
    assert seen == len(FIELDS) >= 117


def test_choices_are_those_of_the_installed_class():
    from transformers.trainer_utils import (
        HubStrategy,
        IntervalStrategy,
        SaveStrategy,
        SchedulerType,
    )
    from transformers.training_args import OptimizerNames, trainer_log_levels

    offered = {
        "lr_scheduler_type": [one.value for one in SchedulerType],
        "save_strategy": [one.value for one in SaveStrategy],
        "eval_strategy": [one.value for one in IntervalStrategy],
        "logging_strategy": [one.value for one in IntervalStrategy],
        "hub_strategy": [one.value for one in HubStrategy],
        "optim": [one.value for one in OptimizerNames],
        "log_level": list(trainer_log_levels),
        "log_level_replica": list(trainer_log_levels),
    }
    assert sum(map(len, offered.values())) >= 80
    for name, values in offered.items():
        for value in values:
            assert run_with(name, value, text=True).get(KEYS[name]) == value
    assert not GONE_OPTIMIZERS.keys() & set(offered["optim"])
    assert set(GONE_OPTIMIZERS.values()) <= set(offered["optim"])


def test_flags_are_read_in_every_form_that_the_installed_parser_reads():
    parser = transformers.HfArgumentParser(transformers.Seq2SeqTrainingArguments)
    by_name = {action.dest: action for action in parser._actions if "--no_" not in str(action)}
    actions = [action for action in parser._actions if action.dest in FIELDS]
    kinds = Counter(kind_of(name) for name in FIELDS)
    assert len(by_name) >= len(FIELDS) and set(kinds) == {"boolean", "list", "mapping", "scalar"}
    for action in actions:
        if action.nargs == "?":
            assert kind_of(action.dest) == "boolean", action.dest
        if action.nargs == "+":
            assert kind_of(action.dest) == "list", action.dest
        if action.nargs == 0:
            spelled = [option.removeprefix("--") for option in action.option_strings]
            assert negated(spelled[0]) == action.dest
    assert sum(action.nargs == 0 for action in actions) >= 6
    assert negated("no_fp16") is None and negated("fp16") is None


def test_json_is_read_where_the_installed_class_reads_json():
    names = transformers.TrainingArguments._VALID_DICT_FIELDS
    assert len(names) >= 4
    for name in names:
        assert kind_of(name) == "mapping" or name == "deepspeed"


def test_words_for_true_and_false_are_those_of_the_installed_parser():
    from transformers.hf_argparser import string_to_bool

    assert len(TRUTH) == 10
    for word, meaning in TRUTH.items():
        assert string_to_bool(word) is boolean(word) is boolean(word.upper()) is meaning
    assert boolean("maybe") == "maybe"


def test_json_text_becomes_a_mapping_and_its_strings_become_values():
    given_text = '{"use_reentrant": "false", "inner": {"steps": "8", "rate": "0.5"}, "name": "x"}'
    assert mapping(given_text) == {
        "use_reentrant": False,
        "inner": {"steps": 8, "rate": 0.5},
        "name": "x",
    }
    assert mapping("config.json") == "config.json"
    run = run_with("lr_scheduler_kwargs", '{"num_cycles": 2}', text=True)
    assert run.schedule.arguments == {"num_cycles": 2}


def test_broken_json_is_refused_as_it_was_written():
    with pytest.raises(UserError) as refused:
        run_with("lr_scheduler_kwargs", '{"num_cycles": ', text=True)
    assert "train.sh:3" in str(refused.value) and "num_cycles" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "path", "meaning"),
    [
        ("max_steps", "-1", "schedule.max_steps", None),
        ("max_steps", "3000", "schedule.max_steps", 3000),
        ("save_total_limit", "0", "record.save_total_limit", None),
        ("eval_steps", "0", "record.eval_steps", None),
        ("eval_steps", "0.1", "record.eval_steps", 0.1),
        ("fp16", "True", "precision.mixed", "fp16"),
        ("bf16", "no", "precision.mixed", "no"),
        ("bf16_full_eval", True, "precision.full_eval", "bf16"),
        ("report_to", "none", "record.report_to", ()),
        ("report_to", ["tensorboard", "wandb"], "record.report_to", ("tensorboard", "wandb")),
        ("include_num_input_tokens_seen", "True", "record.num_input_tokens", "all"),
        ("include_num_input_tokens_seen", "non_padding", "record.num_input_tokens", "non_padding"),
        ("train_sampling_strategy", "sequential", "batch.order", "sequential"),
        ("debug", "underflow_overflow", "trainer.debug", ("underflow_overflow",)),
        ("fsdp", True, "launch.fsdp", "full_shard"),
        ("fsdp", ["full_shard", "auto_wrap"], "launch.fsdp", "full_shard auto_wrap"),
        ("fsdp", "True", "launch.fsdp", "full_shard"),
        ("fsdp", "", "launch.fsdp", None),
        ("optim", "adamw_hf", "optim.name", "adamw_torch"),
        ("gradient_checkpointing", "True", "batch.gradient_checkpointing", True),
        ("learning_rate", "2e-2", "optim.learning_rate", 2e-2),
        ("warmup_ratio", "0.1", "schedule.warmup", 0.1),
        ("no_cuda", "True", "launch.use_cpu", True),
        ("overwrite_output_dir", "True", "record.overwrite", True),
        ("evaluation_strategy", "steps", "record.eval_strategy", "steps"),
        ("adafactor", "True", "optim.name", "adafactor"),
        ("dispatch_batches", "False", "trainer.accelerator_config", {"dispatch_batches": False}),
    ],
)
def test_a_value_means_the_same_here(name: str, value: object, path: str, meaning: object):
    assert run_with(name, value, text=isinstance(value, str)).get(path) == meaning


def test_a_warm_up_over_all_steps_is_no_warm_up_of_one_step():
    from foretune.plan.steps import warmup_steps

    assert warmup_steps(run_with("warmup_ratio", 1.0).schedule.warmup, 3000) == 3000
    assert read("warmup_ratio", 0.0, ORIGIN) == []


@pytest.mark.parametrize("order", [("fp16", "bf16"), ("bf16", "fp16")])
def test_a_false_fp16_does_not_undo_a_true_bf16(order: tuple[str, str]):
    settings, _ = read_all((name, str(name == "bf16"), ORIGIN) for name in order)
    assert compose(settings).precision.mixed == "bf16"


def test_what_is_not_understood_is_refused_as_it_was_written():
    with pytest.raises(UserError) as refused:
        run_with("fp16", "maybe", text=True)
    assert "'maybe'" in str(refused.value) and "train.sh:3" in str(refused.value)


REMOVED_SINCE_4_0 = [
    "adafactor",
    "dispatch_batches",
    "evaluation_strategy",
    "fp16_backend",
    "fp16_opt_level",
    "fsdp_min_num_params",
    "fsdp_transformer_layer_cls_to_wrap",
    "group_by_length",
    "half_precision_backend",
    "include_inputs_for_metrics",
    "include_tokens_per_second",
    "jit_mode_eval",
    "logging_dir",
    "mp_parameters",
    "no_cuda",
    "overwrite_output_dir",
    "past_index",
    "per_gpu_eval_batch_size",
    "per_gpu_train_batch_size",
    "push_to_hub_model_id",
    "push_to_hub_organization",
    "push_to_hub_token",
    "ray_scope",
    "save_safetensors",
    "sharded_ddp",
    "split_batches",
    "torchdynamo",
    "tp_size",
    "tpu_metrics_debug",
    "tpu_num_cores",
    "use_ipex",
    "use_legacy_prediction_loop",
    "use_mps_device",
    "warmup_ratio",
    "xpu_backend",
]
"""Fields of Seq2SeqTrainingArguments in 4.0.1 to 5.12.0 that 5.23.0 lacks, by their sources."""


def test_every_removed_name_is_still_read_and_says_what_became_of_it():
    assert len(REMOVED_SINCE_4_0) == 35
    assert REMOVED.keys() - {"no_save_safetensors"} == set(REMOVED_SINCE_4_0)
    with_effect = 0
    for name in REMOVED_SINCE_4_0:
        value = {"boolean": "True", "scalar": "1"}[kind_of(name)]
        value = "steps" if name == "evaluation_strategy" else value
        settings, notes = read_all([(name, value, ORIGIN)], text=True)
        compose(settings)
        with_effect += bool(settings)
        assert len(notes) == 1 and notes[0].why and "train.sh:3" in notes[0].where
        assert notes[0].what.startswith(name)
        assert ("has no effect" in notes[0].what) == (not settings)
    assert with_effect == 19


def test_a_dump_of_all_arguments_with_nulls_is_read_without_notes():
    for name in REMOVED_SINCE_4_0:
        assert read_all([(name, None, ORIGIN)]) == ([], [])


def test_a_note_does_not_repeat_a_secret():
    assert "hf_abc" not in str(note("push_to_hub_token", "hf_abc", ORIGIN))


def test_a_run_that_nobody_wrote_passes_nothing_on():
    assert write(Run()) == {}


def test_what_was_written_is_passed_on_even_where_it_is_the_default():
    assert write(run_with("logging_steps", 500)) == {"logging_steps": 500}


ROUND_TRIPS: dict[str, st.SearchStrategy[Any]] = {
    "learning_rate": st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    "per_device_train_batch_size": st.integers(min_value=1),
    "max_steps": st.one_of(st.just(-1), st.integers(min_value=1)),
    "fp16": st.booleans(),
    "bf16_full_eval": st.booleans(),
    "report_to": st.lists(st.sampled_from(["tensorboard", "wandb"]), min_size=1),
    "lr_scheduler_kwargs": st.dictionaries(st.text(), st.integers()),
    "eval_steps": st.floats(min_value=1e-6, max_value=1e6),
    "train_sampling_strategy": st.sampled_from(
        ["random", "sequential", "group_by_length", "batch_rebalance"]
    ),
    "optim_target_modules": st.one_of(st.text(), st.lists(st.text())),
    "disable_tqdm": st.one_of(st.none(), st.booleans()),
    "label_names": st.lists(st.text()),
}


@given(
    st.sampled_from(sorted(ROUND_TRIPS)).flatmap(lambda n: st.tuples(st.just(n), ROUND_TRIPS[n]))
)
def test_what_is_read_is_what_is_passed_on(argument: tuple[str, Any]):
    name, value = argument
    passed_on = write(run_with(name, value))
    assert passed_on.get(name, default_of(name)) == value


def test_the_installed_class_takes_what_is_passed_on(tmp_path: Path):
    flags = {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": "4",
        "gradient_accumulation_steps": "4",
        "max_steps": "3000",
        "learning_rate": "2e-2",
        "logging_steps": "10",
        "save_steps": "1000",
        "eval_strategy": "steps",
        "warmup_ratio": "0.1",
        "group_by_length": "True",
        "gradient_checkpointing": "True",
        "predict_with_generate": "True",
        "overwrite_output_dir": "True",
        "no_cuda": "True",
        "report_to": "none",
        "lr_scheduler_type": "cosine_with_restarts",
        "lr_scheduler_kwargs": '{"num_cycles": "2"}',
        "ddp_find_unused_parameters": "False",
    }
    settings, notes = read_all(((name, value, ORIGIN) for name, value in flags.items()), text=True)
    made = transformers.Seq2SeqTrainingArguments(**write(compose(settings), known=FIELDS))
    assert len(notes) == 4
    assert (made.max_steps, made.warmup_steps, made.learning_rate) == (3000, 0.1, 2e-2)
    assert made.gradient_checkpointing and made.predict_with_generate and made.use_cpu
    assert made.train_sampling_strategy == "group_by_length"
    assert made.lr_scheduler_kwargs == {"num_cycles": 2}
    assert made.eval_steps == made.logging_steps == 10


def test_before_5_23_gradient_checkpointing_is_passed_on_under_its_older_name():
    run = run_with("gradient_checkpointing", True)
    assert write(run) == {"activation_checkpointing": True}
    assert write(run, known=KEYS.keys() - SINCE_5_23) == {"gradient_checkpointing": True}


def test_what_the_installed_class_lacks_is_refused():
    run = run_with("dataloader_in_order", False)
    with pytest.raises(UserError) as refused:
        write(run, known=KEYS.keys() - {"dataloader_in_order"})
    assert "dataloader_in_order" in str(refused.value)


def test_both_half_precisions_at_once_are_refused():
    with pytest.raises(UserError, match="fp16 and bf16 are both asked for"):
        read_all([("fp16", True, ORIGIN), ("bf16", "True", ORIGIN)])
    settings, _ = read_all([("fp16", False, ORIGIN), ("bf16", "True", ORIGIN)])
    assert compose(settings).precision.mixed == "bf16"
