"""Words of a command line, as HfArgumentParser reads them."""

from __future__ import annotations

import dataclasses

import pytest

from foretune.formats import official, training_arguments
from foretune.formats.flags import names, read_flags, read_mapping
from foretune.formats.reading import Reading, typed
from foretune.formats.shell import Word, read_shell
from foretune.params.run import compose, parameters
from foretune.params.setting import Origin


def reading(text: str) -> Reading:
    """The reading of what stands behind ``run`` in a script."""
    return read_flags(read_shell(text, "train.sh").commands[-1].words[1:], "train.sh")


def values(text: str) -> dict[str, object]:
    found = reading(f"run {text}")
    assert list(found.all_problems()) == []
    run = compose(found.settings)
    return {setting.path: run.get(setting.path) for setting in found.settings}


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("--learning_rate 2e-2", "optim.learning_rate", 0.02),
        ("--learning_rate=2e-2", "optim.learning_rate", 0.02),
        ("--learning-rate 2e-2", "optim.learning_rate", 0.02),
        ("--optim.learning_rate 2e-2", "optim.learning_rate", 0.02),
        ("--batch.micro=4", "batch.micro", 4),
        ("--do_train", "launch.train", True),
        ("--do_train False", "launch.train", False),
        ("--do_train=no", "launch.train", False),
        ("--launch.train", "launch.train", True),
        ("--launch.train false", "launch.train", False),
        ("--no_remove_unused_columns", "trainer.remove_unused_columns", False),
        ("--no-remove-unused-columns", "trainer.remove_unused_columns", False),
        ("--no_ignore_pad_token_for_loss", "data.ignore_pad_in_loss", False),
        ("--ignore_pad_token_for_loss false", "data.ignore_pad_in_loss", False),
        ("--max_steps -1", "schedule.max_steps", None),
        ("--bf16 True", "precision.mixed", "bf16"),
        ("--quantization_bit 4", "precision.quantize", 4),
        ("--precision.quantize 8", "precision.quantize", 8),
        ("--schedule.max_steps none", "schedule.max_steps", None),
        ("--report_to none", "record.report_to", ()),
        ("--report_to tensorboard wandb", "record.report_to", ("tensorboard", "wandb")),
        ("""--lr_scheduler_kwargs '{"num_cycles": 2}'""", "schedule.arguments", {"num_cycles": 2}),
        ("--source_prefix ''", "data.source_prefix", ""),
        ("--source_prefix '- a b'", "data.source_prefix", "- a b"),
        ("--source_prefix=--x", "data.source_prefix", "--x"),
        ("--lora_r 16", "method.lora.rank", 16),
        ("--lora_target q,v", "method.lora.targets", ("q", "v")),
        ("--target_modules q v", "method.lora.targets", ("q", "v")),
        ("--method.lora.targets q,v", "method.lora.targets", ("q", "v")),
    ],
)
def test_a_flag_is_read(words: str, path: str, value: object):
    found = values(words)
    assert found[path] == value
    assert type(found[path]) is type(value)


def test_the_origin_spells_the_flag_as_it_is_written():
    (setting,) = reading("LR=1\nrun \\\n --learning_rate \\\n $LR").settings
    assert str(setting.origin) == "train.sh:3 (--learning_rate $LR)"


def test_a_repeated_flag_counts_the_last_time_and_is_noted():
    found = reading("run --max_steps 1 \\\n --max_steps 2")
    assert [setting.value for setting in found.settings] == ["2"]
    (note,) = found.notes
    assert note.what == "--max_steps is given twice: the last one counts"
    assert note.where == "train.sh:2 (--max_steps 2)"


def test_the_beginning_of_a_name_is_enough_where_only_one_begins_so():
    found = reading("run --max_step 5")
    assert found.settings[0].path == "schedule.max_steps"
    assert found.notes[0].what == "--max_step read as --max_steps"
    (problem,) = reading("run --max_s 5").problems
    assert problem.fix == "write one of --max_source_length, --max_steps"


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        ("--learing_rate 1 2", "there is no flag --learing_rate", "write --learning_rate"),
        ("--batch.mirco 1", "there is no flag --batch.mirco", "write --batch.micro"),
        ("-learning_rate 1", "there is no flag -learning_rate", "write --learning_rate"),
        ("--no_do_train", "there is no flag --no_do_train", "write --do_train"),
        ("--zzz", "there is no flag --zzz", "leave it out; `foretune explain` lists what is known"),
        ("stray", "'stray' belongs to no flag", None),
        ("--max_steps 1 2", "'2' belongs to no flag", None),
        ("--max_steps", "--max_steps has no value", None),
    ],
)
def test_what_is_no_flag_is_a_problem_that_names_the_nearest(
    words: str, what: str, fix: str | None
):
    (problem,) = reading(f"run {words}").all_problems()
    assert problem.what == what
    assert problem.where.startswith("train.sh:1")
    assert fix is None or problem.fix == fix


def test_all_problems_are_collected():
    text = "run --do_train --learing_rate 1 --max_steps --output_dri x\\\n --batch.eval"
    assert len(list(reading(text).all_problems())) == 4


@pytest.mark.parametrize("value", ["$LR", "$(date)", '"$LR"', "$1"])
def test_a_value_that_cannot_be_known_is_a_doubt_that_a_later_setting_settles(value: str):
    found = reading(f"run --learning_rate {value} --do_train")
    assert [setting.path for setting in found.settings] == ["launch.train"]
    ((path, problem),) = found.doubts
    assert path == "optim.learning_rate"
    assert problem.what == "--learning_rate has no value"
    found.add(read_flags([Word("--learning_rate"), Word("1e-4")], "command line"))
    assert list(found.all_problems()) == []


def test_an_unknown_part_of_a_text_is_kept_and_noted():
    found = reading("run --output_dir out-$1 --run_name x$NAME")
    assert {setting.path: setting.value for setting in found.settings} == {
        "record.output": "out-$1",
        "record.run_name": "x",
    }
    assert [note.what for note in found.notes] == [
        "$1 is kept as it is written",
        "$NAME is nothing",
    ]


def test_a_file_name_in_a_variable_that_is_not_set_is_a_doubt():
    ((path, problem),) = reading("run --train_file $CHAT_TRAIN_DATA --do_train").doubts
    assert path == "data.train"
    assert problem.why == "$CHAT_TRAIN_DATA is set nowhere in the script before this line"


def test_a_variable_that_is_nothing_is_dropped_between_flags():
    found = reading("run --do_train $EXTRA --do_eval")
    assert {setting.path for setting in found.settings} == {"launch.train", "launch.evaluate"}
    assert [note.what for note in found.notes] == ["$EXTRA is nothing"]


def test_named_values_are_typed_already():
    origin = Origin("args.json", 3, "x")
    found = read_mapping({"do_train": (True, origin), "learning_rat": (1, origin)})
    assert [(one.path, one.value, one.text) for one in found.settings] == [
        ("launch.train", True, False)
    ]
    assert found.problems[0].where == "args.json:3"


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("batch.micro", "4", "4"),
        ("schedule.max_steps", "null", None),
        ("data.source_prefix", "none", "none"),
        ("precision.quantize", "5", "5"),
        ("precision.mixed", "no", "no"),
        ("method.lora.targets", "a,b", ["a", "b"]),
        ("method.lora.targets", '["a"]', ["a"]),
        ("schedule.arguments", '{"a": 1}', {"a": 1}),
        ("schedule.arguments", "{a", "{a"),
        ("no.such", "1", "1"),
    ],
)
def test_text_becomes_what_its_parameter_takes(path: str, text: str, value: object):
    assert typed(path, text) == value


def test_the_authors_table_has_each_argument_once_and_every_path_is_one():
    assert len(official.KEYS) + len(official.UNREAD) == 34
    assert set(official.PATHS.values()) <= set(parameters())
    assert official.NAMES.isdisjoint(training_arguments.KEYS)
    assert official.NAMES.isdisjoint(training_arguments.REMOVED)
    assert names().isdisjoint(parameters())


@pytest.mark.parametrize("name", sorted(official.UNREAD))
def test_an_argument_that_main_py_never_reads_is_noted(name: str):
    found = reading(f"run --{name} {'' if official.UNREAD[name] == 'boolean' else 'x'}")
    assert found.settings == []
    assert [note.what for note in found.notes] == [f"{name} has no effect"]


@dataclasses.dataclass
class Theirs:
    """Arguments of each kind, under the names and defaults that they have in the scripts."""

    max_steps: int = -1
    learning_rate: float = 5e-5
    do_train: bool = False
    ignore_pad_token_for_loss: bool = True
    source_prefix: str | None = ""
    report_to: list[str] | None = None


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--do_train", "--max_steps", "5", "--learning_rate=1e-4"],
        ["--do-train", "False", "--report_to", "a", "b", "--source-prefix", "x y"],
        ["--do_train", "y", "--no_ignore_pad_token_for_loss", "--max_steps", "-1"],
        ["--no-ignore-pad-token-for-loss", "--source_prefix", "-1.5", "--do_train=0"],
        ["--source_p", "- a", "--learning_r", "1", "--report_to", "none"],
        ["--max_steps", "1", "--max_steps", "2", "--source_prefix=--a"],
    ],
)
def test_words_mean_what_they_mean_to_hf_argument_parser(words: list[str]):
    from transformers import HfArgumentParser

    (theirs,) = HfArgumentParser(Theirs).parse_args_into_dataclasses(words)
    found = read_flags([Word(word) for word in words], "command line")
    assert list(found.all_problems()) == []
    run = compose(found.settings)
    assert (run.schedule.max_steps or -1) == theirs.max_steps
    assert run.optim.learning_rate == theirs.learning_rate
    assert run.launch.train == theirs.do_train
    assert run.data.ignore_pad_in_loss == theirs.ignore_pad_token_for_loss
    assert run.data.source_prefix == theirs.source_prefix
    trackers = [] if theirs.report_to == ["none"] else theirs.report_to or []
    assert list(run.record.report_to) == trackers
