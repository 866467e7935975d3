"""A run in the form of every format, read again: the same run, or what is not the same is said."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from foretune.cli import main
from foretune.errors import UserError
from foretune.formats import accelerate as accelerates
from foretune.formats import baichuan2, deepspeed, official, peft, training_arguments
from foretune.formats import llama_factory as factory
from foretune.formats.launchers import DEEPSPEED, TORCHRUN
from foretune.formats.read import read, read_sound, read_text
from foretune.formats.writing import DOCUMENTS, FORMS, said, write
from foretune.params.resolve import resolve
from foretune.params.run import Run, compose, parameters
from foretune.params.setting import Origin, Setting


def other(path: str) -> Any:
    """A value of a parameter that is not its default; the default where there is no other."""
    field = parameters()[path]
    return sample(field.annotation, field)


def sample(kind: Any, field: FieldInfo) -> Any:
    """A value of a type."""
    inner = [one for one in get_args(kind) if one is not NoneType]
    if get_origin(kind) is Literal:
        found = [one for one in inner if one not in (field.default, "auto")]
        return found[0] if found else field.default
    if get_origin(kind) is tuple:
        return [sample(inner[0], field)] * 2
    if get_origin(kind) is dict:
        return {"a": sample(inner[1], field)}
    if inner:
        return sample(inner[-1], field)
    if kind in (int, float):
        return number(kind, field)
    return {bool: field.default is not True, NoneType: None}.get(kind, "word/里")


def number(kind: type, field: FieldInfo) -> Any:
    """A number within the bounds that is not the default."""
    bounds = {
        name: getattr(one, name) for one in field.metadata for name in BOUNDS if hasattr(one, name)
    }
    low = bounds.get("ge", bounds.get("gt", 0))
    high = bounds.get("le", bounds.get("lt", low + 1000))
    value = kind(low + (high - low) / 4)
    return value if value != field.default else kind(low + (high - low) / 2)


BOUNDS = ("ge", "gt", "le", "lt")


def names_of(form: str) -> set[str]:
    """The parameters that a form has a name for."""
    theirs = set(training_arguments.KEYS.values())
    return {
        **{name: set(parameters()) for name in ("run.yaml", "run.json", "run.toml")},
        "main.py": {*official.PATHS.values(), *theirs},
        "flags": {*official.PATHS.values(), *theirs},
        "arguments.json": {*official.PATHS.values(), *theirs},
        "arguments.yaml": {*official.PATHS.values(), *theirs},
        "fine-tune.py": {*baichuan2.PATHS.values(), *theirs},
        "ds_config.json": set(deepspeed.own_keys().values()),
        "accelerate.yaml": set(accelerates.own_keys().values()),
        "adapter_config.json": set(peft.names().values()),
        "llama-factory.yaml": {*factory.KEYS.values(), *theirs},
    }[form]


OF_THE_METHOD = {"method.name", "precision.dtype"}
"""What follows from a method that one value alone asks for."""

ONLY_IN_JSON = {"optim.target_modules"}
"""A list where transformers' command line takes one word."""

NOT_SO = {
    "main.py": ONLY_IN_JSON,
    "flags": ONLY_IN_JSON,
    "fine-tune.py": ONLY_IN_JSON,
    "llama-factory.yaml": {"batch.gradient_checkpointing_kwargs", "peft.init_lora_weights"},
}
"""What a form has a name for, and not for that value of it."""


def run_for(form: str, path: str) -> Run:
    """A run of the form's own, in which the parameter has another value."""
    method = "ptuning" if path.startswith(("method.prefix", *OF_A_PREFIX)) else "lora"
    set_too = {"method.name": method} if form == "adapter_config.json" else {}
    made = FORMS[form].read(FORMS[form].bare, Path())[0] if FORMS[form].bare else Run()
    return made.set({**set_too, path: other(path)})


OF_A_PREFIX = tuple(f"peft.{key}" for key in peft.OF_A_PREFIX)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_value_comes_back_that_a_form_has_a_name_for(form: str):
    paths = names_of(form) - {"method.name", "peft.layer_replication"} - NOT_SO.get(form, set())
    seen = 0
    for path in sorted(paths):
        if other(path) != parameters()[path].default:
            written = write(run_for(form, path), form)
            assert {one.path for one in written.lost} <= OF_THE_METHOD, (path, written.text)
            assert path not in written.elsewhere, path
            seen += 1
    assert seen > {"adapter_config.json": 40, "accelerate.yaml": 100}.get(form, 110)


@pytest.mark.parametrize("form", ["main.py", "fine-tune.py", "flags", "llama-factory.yaml"])
def test_a_value_that_does_not_come_back_is_told(form: str):
    for path in NOT_SO[form]:
        assert path in {one.path for one in write(run_for(form, path), form).lost}


@pytest.mark.parametrize(
    ("launcher", "options"), [("torchrun", TORCHRUN), ("deepspeed", DEEPSPEED)]
)
def test_every_option_of_a_launcher_comes_back(launcher: str, options: dict[str, bool]):
    prefix, seen = f"launchers.{launcher}.", 0
    base = FORMS["main.py"].read("python3 main.py", Path())[0].set({"launch.launcher": launcher})
    for path in (one for one in parameters() if one.startswith(prefix)):
        run = base.set({path: other(path)})
        assert [one.path for one in write(run, "main.py").lost] == [], path
        assert path.removeprefix(prefix) in options
        seen += 1
    assert seen > 20


def test_every_flag_of_accelerate_launch_comes_back():
    base = FORMS["main.py"].read("python3 main.py", Path())[0]
    on = {f"accelerate.command.{name}": True for name in ("use_deepspeed", "use_fsdp",
          "use_megatron_lm", "use_parallelism_config")}  # fmt: skip
    base = base.set({"launch.launcher": "accelerate", **on})
    seen = 0
    for path in sorted(set(accelerates.flags().values())):
        if path.startswith("accelerate.") and "config_file" not in path:
            value = other(path)
            if value not in (None, parameters()[path].default):
                written = write(base.set({path: value}), "main.py")
                lost = {one.path for one in written.lost}
                assert path not in lost or is_a_switch_that_is_on(path), (path, written.text)
                seen += 1
    assert seen > 80


def is_a_switch_that_is_on(path: str) -> bool:
    """Whether a flag can only turn on what is on by default."""
    return parameters()[path].default is True


@pytest.mark.parametrize("form", FORMS)
def test_all_values_come_back_together(form: str):
    left_out = (
        "method.name",
        "peft.layer_replication",
        *NOT_SO.get(form, ()),
        *BESIDE.get(form, ()),
    )
    paths = [path for path in names_of(form) if not path.startswith(left_out)]
    values = {path: other(path) for path in paths if other(path) != parameters()[path].default}
    made = FORMS[form].read(FORMS[form].bare, Path())[0] if FORMS[form].bare else Run()
    run = made.set({**values, "method.name": "full" if form == "fine-tune.py" else "lora"})
    if form == "accelerate.yaml":
        run = run.set({"accelerate.distributed_type": "DEEPSPEED"})
    written = write(run, form)
    assert sorted(one.path for one in written.lost) == []
    assert not set(written.elsewhere) & set(paths)
    assert len(values) > 30


BESIDE = {
    "adapter_config.json": ("method.prefix", *OF_A_PREFIX),
    "llama-factory.yaml": ("method.prefix", *OF_A_PREFIX),
    "accelerate.yaml": (
        "accelerate.distributed_type", "accelerate.fsdp_config", "accelerate.megatron_lm_config",
    ),
}  # fmt: skip
"""What does not go together with the others: one method, one way to share a model out."""


def test_what_is_written_for_a_shell_starts_the_program():
    run = Run().set({"launch.launcher": "torchrun", "launch.processes": 2, "data.train": "a b"})
    (program,) = shells(write(run, "main.py").text)
    assert program.name == "main.py"


def shells(text: str) -> list[Path]:
    """The programs that a shell would start."""
    words = shlex.split(text.replace("\\\n", " "))
    return [Path(word) for word in words if word.endswith(".py")]


SCRIPTS = ("chatglm-6b/train.sh", "chatglm-6b/train-as-pasted.sh", "chatglm-6b/evaluate.sh")
INPUTS = ("chatglm2-6b/train.sh", "accelerate/launch.sh", "baichuan2-13b/train.sh")


@pytest.mark.parametrize("name", [*SCRIPTS, *INPUTS])
def test_a_script_written_again_is_the_same_run(name: str, shared: Path):
    run = read(shared / "inputs" / name)
    program = "fine-tune.py" if "baichuan" in name else "main.py"
    written = write(run, program, (shared / "inputs" / name).parent)
    assert (written.lost, written.elsewhere) == ((), ())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_written_is_the_run_but_for_what_is_told(name: str, form: str, shared: Path):
    run = read(shared / "inputs" / name)
    if form == "adapter_config.json" and run.method.prefix.length is None:
        with pytest.raises(UserError, match="there is no adapter of it"):
            write(run, form)
        return
    if form == "llama-factory.yaml" and run.method.prefix.length:
        with pytest.raises(UserError, match="has no P-Tuning v2"):
            write(run, form)
        return
    written = write(run, form, (shared / "inputs" / name).parent)
    told = {*(one.path for one in written.lost), *written.elsewhere}
    back, problems = FORMS[form].read(written.text, (shared / "inputs" / name).parent)
    assert problems == []
    one, other_one = (resolve(each, complete=False) for each in (run, back))
    differing = {path for path in parameters() if one.get(path) != other_one.get(path)}
    unsaid = {
        path for path in differing - told if run.written(path) and other_one.get(path) != "auto"
    }
    assert unsaid <= {*FORMS[form].implies}
    for language in ("en", "zh"):
        assert len(list(said(run, written, form, language))) >= bool(told)


def test_a_run_of_deepspeed_is_written_with_its_own_file():
    settings = [
        Setting("launch.deepspeed", "ds.json", Origin("train.sh", 1, "--deepspeed ds.json")),
        Setting("deepspeed.zero_optimization.stage", 2, Origin("ds.json", 3, "x")),
    ]
    run = compose(settings)
    assert json.loads(write(run, "ds_config.json").text)["zero_optimization"] == {"stage": 2}
    assert "--deepspeed ds.json" in write(run, "main.py").text
    (lost,) = (one for one in write(run, "main.py").lost if one.path.startswith("deepspeed."))
    assert "--to ds_config.json" in lost.why and "--to ds_config.json" in lost.why.zh
    made = write(run, "accelerate.yaml").text
    assert "distributed_type: DEEPSPEED" in made and "deepspeed_config_file: ds.json" in made


MODELS = {
    "chatglm2-6b-finetuned/config-as-pasted.txt": "config.json",
    "chatglm2-6b/config.json": "config.json",
    "baichuan2-13b/config.json": "config.json",
    "transformer/base.json": "config.json",
    "llama3/params-8b.json": "params.json",
    "llama3/hyperparameters-as-pasted.txt": "params.json",
    "llama3/model-args-as-pasted.py": "params.json",
}


@pytest.mark.parametrize(("name", "form"), MODELS.items())
def test_a_models_file_is_written_as_it_was_read(
    name: str, form: str, shared: Path, tmp_path: Path
):
    run, problems = read_sound(shared / "inputs" / name)
    assert problems == []
    text = write(run, form).text
    (tmp_path / form).write_text(text, "utf-8")
    again = read(tmp_path / form)
    assert write(again, form).text == text
    if name.endswith("json"):
        assert json.loads(text) == json.loads((shared / "inputs" / name).read_text("utf-8"))
    other_form = {"config.json": "params.json", "params.json": "config.json"}[form]
    with pytest.raises(UserError, match="the model's sizes are those of a"):
        write(run, other_form)


def test_documents_are_written_as_they_were_read(tmp_path: Path):
    keys = {"do_sample": True, "top_p": 0.5, "eos_token_id": [1, 2], "of_another": "x"}
    (tmp_path / "generation_config.json").write_text(json.dumps(keys), "utf-8")
    run = read(tmp_path / "generation_config.json")
    assert json.loads(write(run, "generation_config.json").text) == keys
    said_too = run.set({"generate.top_p": 0.9, "generate.num_beams": 4})
    made = json.loads(write(said_too, "generation_config.json").text)
    assert made == {**keys, "top_p": 0.9, "num_beams": 4}
    tokens = {"tokenizer_class": "LlamaTokenizer", "model_max_length": 4096}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokens), "utf-8")
    run = read(tmp_path / "tokenizer_config.json")
    assert json.loads(write(run, "tokenizer_config.json").text) == tokens


@pytest.mark.parametrize("form", DOCUMENTS)
def test_a_document_that_nobody_read_is_not_made_up(form: str):
    with pytest.raises(UserError, match=f"there is no {form} to write"):
        write(Run(), form)


def test_a_form_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(UserError) as refused:
        write(Run(), "acelerate.yml")
    assert refused.value.problems[0].fix == "write --to accelerate.yaml"


def test_words_of_a_run_are_quoted_for_a_shell():
    run = Run().set({"model.path": "it's $HOME; `x`", "data.train": "a b.json"})
    back, problems = read_text(write(run, "main.py").text, "train.sh", Path())
    assert problems == []
    assert (back.model.path, back.data.train) == ("it's $HOME; `x`", "a b.json")


def test_convert_prints_the_form_and_says_what_is_lost(
    shared: Path, capsys: pytest.CaptureFixture[str]
):
    script = str(shared / "inputs/chatglm2-6b/train.sh")
    assert main(["convert", script, "--to", "fine-tune.py", "--lang", "zh"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("torchrun --nnodes=1 --nproc_per_node=1 --standalone fine-tune.py \\\n")
    assert err.startswith("fine-tune.py 没有包含：\n- data.validation = 'AdvertiseGen/dev.json'")
    assert main(["convert", script, "--to", "nothing"]) == 2
    assert "--to nothing is no form" in capsys.readouterr().err
