"""Accelerate's YAML file and the flags of `accelerate launch`: their names for our parameters.

Read in accelerate 1.15 (commands/config/config_args.py, commands/launch.py, utils/launch.py). A key
that no concept of ours has is the parameter of its own path: ``fsdp_config.fsdp_version`` is
``accelerate.fsdp_config.fsdp_version``, and ``--fsdp_version`` is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from ..errors import Problem, UserError, refuse
from ..params.run import Run, parameters
from ..params.setting import Note, Origin, Setting
from ..text import Said, nearest, place
from .argument_text import TRUTH
from .json_text import key_lines, read_json
from .reading import Reading, alternatives, typed
from .yaml_text import Keys, read_yaml, yaml_lines

PREFIX = "accelerate."
ZERO = "deepspeed.zero_optimization."

KEYS: dict[str, str] = {
    "num_processes": "launch.processes",
    "num_machines": "launch.nodes",
    "gpu_ids": "launch.visible_devices",
    "use_cpu": "launch.use_cpu",
    "mixed_precision": "precision.mixed",
    "deepspeed_config.gradient_accumulation_steps": "batch.accumulation",
    "deepspeed_config.gradient_clipping": "optim.max_grad_norm",
    "deepspeed_config.zero_stage": f"{ZERO}stage",
    "deepspeed_config.offload_optimizer_device": f"{ZERO}offload_optimizer.device",
    "deepspeed_config.offload_param_device": f"{ZERO}offload_param.device",
    "deepspeed_config.zero3_save_16bit_model": f"{ZERO}stage3_gather_16bit_weights_on_model_save",
    "deepspeed_config.deepspeed_config_file": "launch.deepspeed",
}
"""Key of accelerate's file -> the parameter that others have for it too. ``num_processes`` counts
the processes of all machines; the precision is a parameter of accelerate's besides."""

BLOCKS = {
    "deepspeed_config": ("DEEPSPEED", ""),
    "fsdp_config": ("FSDP", "fsdp_"),
    "megatron_lm_config": ("MEGATRON_LM", ""),
    "parallelism_config": ("", ""),
    "dynamo_config": ("", "dynamo_"),
    "fp8_config": ("", "fp8_"),
    "mpirun_config": ("", ""),
}
"""Section -> the distributed_type without which nothing reads it, and what its keys may leave out
at their beginning."""

UNREAD = {
    "fp8_config.fp8_amax_history_length": "fp8_amax_history_len",
    "fp8_config.fp8_amax_compute_algorithm": "fp8_amax_compute_algo",
    "fp8_config.fp8_optimization_level": "fp8_opt_level",
}
"""Names that `accelerate config` writes and nothing reads -> the names that are read."""

FLAG_ONLY = (
    "rdzv_backend",
    "same_network",
    "enable_cpu_affinity",
    "downcast_bf16",
    "tpu_use_sudo",
)
"""Keys that have no effect in the file: the flag's default stands in their way."""

FILE_ONLY = (
    "compute_environment",
    "distributed_type",
    "tpu_name",
    "tpu_zone",
    "tpu_use_cluster",
    "command_file",
    "commands",
    "tpu_vm",
    "tpu_env",
    "fsdp_ignored_modules",
    "fp8_use_mxfp8_block_scaling",
)
"""Parameters without a flag of their name."""

ODD_FLAGS = {
    "cpu": "launch.use_cpu",
    "tpu_cluster": "accelerate.tpu_use_cluster",
    "no_tpu_cluster": "accelerate.tpu_use_cluster",
    "vm": "accelerate.tpu_vm",
    "env": "accelerate.tpu_env",
    "q": "accelerate.command.quiet",
    "t": "accelerate.command.tee",
    "m": "accelerate.command.module",
}

SWITCHES = (
    "cpu",
    "multi_gpu",
    "tpu",
    "quiet",
    "q",
    "m",
    "module",
    "no_python",
    "debug",
    "enable_cpu_affinity",
    "same_network",
    "downcast_bf16",
    "tpu_cluster",
    "no_tpu_cluster",
    "tpu_use_sudo",
    "use_deepspeed",
    "use_fsdp",
    "use_megatron_lm",
    "use_parallelism_config",
    "dynamo_use_fullgraph",
    "dynamo_use_dynamic",
    "dynamo_use_regional_compilation",
    "fp8_use_autocast_during_eval",
)
"""Flags that stand alone."""


REPEATED = ("accelerate.tpu_vm", "accelerate.tpu_env")
"""Parameters whose flag is given once for each value."""


@cache
def own_keys() -> dict[str, str]:
    """Every key of the file that is a parameter of accelerate's own, and its path."""
    found: dict[str, str] = {}
    for path in parameters():
        name = path.removeprefix(PREFIX)
        if path.startswith(PREFIX) and not name.startswith("command."):
            found[name.removeprefix("sagemaker.")] = path
    return found


@cache
def flags() -> dict[str, str]:
    """Every flag of `accelerate launch`, and its path."""
    own = {path.rpartition(".")[2]: path for path in own_keys().values() if "sagemaker" not in path}
    command = [path for path in parameters() if path.startswith(f"{PREFIX}command.")]
    shared = {key.rpartition(".")[2]: path for key, path in KEYS.items() if key != "use_cpu"}
    table = {**own, **{path.rpartition(".")[2]: path for path in command}, **shared, **ODD_FLAGS}
    return {name: path for name, path in table.items() if name not in FILE_ONLY}


@cache
def _sections() -> dict[str, str]:
    keys = (key.rpartition(".") for key in (*own_keys(), *KEYS) if "." in key)
    return {name: section for section, _, name in keys}


def section_of(flag: str) -> str:
    """The section of the file that has a flag among its keys; '' where it stands at the top."""
    return _sections().get(flag, "")


def options() -> dict[str, bool]:
    """The flags, and whether each takes a value."""
    return {name: name not in SWITCHES for name in flags()}


def read_flag(name: str, text: str, origin: Origin, machines: str = "1") -> list[Setting]:
    """The settings that a flag stands for; the text is '' for a switch."""
    path = flags()[name]
    if name in SWITCHES:
        return [Setting(path, name != "no_tpu_cluster", origin)]
    if name == "gpu_ids" and text == "all":
        return []
    if name == "num_processes":
        return [Setting(path, _per_machine(text, machines), origin, text=True)]
    if name == "mixed_precision":
        return list(_precision(text, origin, text=True))
    if path in REPEATED:
        return [Setting(path, [text], origin)]
    return [Setting(path, _as_text(path, text), origin, text=True)]


def _per_machine(total: str, machines: str) -> object:
    """Processes of one machine, where they can be shared out evenly."""
    even = total.isdecimal() and machines.isdecimal() and len(total + machines) < 20
    if even and int(machines) and int(total) % int(machines) == 0:
        return int(total) // int(machines)
    return total


def _precision(value: object, origin: Origin, *, text: bool = False) -> Iterator[Setting]:
    """Eight bits are computed in under autocast to bfloat16."""
    yield Setting(f"{PREFIX}mixed_precision", value, origin, text)
    if value in ("no", "fp16", "bf16", "fp8"):
        yield Setting("precision.mixed", "bf16" if value == "fp8" else value, origin)


def _as_text(path: str, text: str) -> object:
    """A word as accelerate reads it: truth values in any of their forms, numbers as such."""
    if {int, str} <= {*alternatives(path)} and text.isdecimal() and len(text) < 20:
        return int(text)
    return TRUTH.get(text.lower(), text) if bool in alternatives(path) else typed(path, text)


def is_accelerate(values: Mapping[str, object]) -> bool:
    """Whether a file with these keys is accelerate's. Some of its sections are arguments of
    transformers, too.
    """
    shared = {"deepspeed_config", "fsdp_config", "parallelism_config"}
    strong = {"compute_environment", "distributed_type", *BLOCKS} - shared
    found = values.keys() & shared and "num_processes" in values
    return bool(strong & values.keys() or found)


def read_accelerate(text: str, file: str) -> Reading:
    """The settings of accelerate's file, YAML or JSON, each with its line, and what is wrong.

    Raises:
        UserError: where it is neither, or no mapping.
    """
    if text.lstrip().startswith("{") and file.endswith(".json"):
        values, lines = read_json(text, file), list(key_lines(text))
    else:
        values, lines = read_yaml(text, file, "1.1")
    if not isinstance(values, dict):
        raise refuse(
            what=f"this is no file of accelerate: it holds a {type(values).__name__}",
            where=file,
            why="accelerate's file is one mapping of keys to values",
            fix="let `accelerate config` write one",
        )
    reader = _Reader(file, cast(dict[Any, Any], values))
    for keys, line in lines:
        reader.see(keys, line)
    reader.walk()
    return reader.reading


@dataclass(slots=True)
class _Reader:
    """One reading of one file."""

    file: str
    values: Mapping[Any, Any]
    reading: Reading = field(default_factory=Reading)
    lines: dict[Keys, int] = field(default_factory=dict[Keys, int])

    def see(self, keys: Keys, line: int) -> None:
        if keys in self.lines and "[]" not in keys:
            self.reading.problems.append(
                Problem(
                    what=f"{'.'.join(keys)} is given twice",
                    where=place(self.file, line),
                    why=f"it stands in line {self.lines[keys]} already; accelerate takes the last",
                    fix="take one of them out",
                )
            )
        self.lines.setdefault(keys, line)

    def origin(self, *keys: str) -> Origin:
        return Origin(self.file, self.lines.get(keys), ".".join(keys))

    def walk(self) -> None:
        if "distributed_type" not in self.values:
            self.reading.problems.append(
                Problem(
                    what="distributed_type is missing",
                    where=self.file,
                    why="accelerate refuses a file without it",
                    fix="write distributed_type, for example MULTI_GPU",
                )
            )
        for key, value in self.values.items():
            name = str(key)
            if name in BLOCKS:
                self._block(name, value)
            elif name == "fp16" or name == "dynamo_backend":
                self._former(name, value)
            elif name == "num_processes":
                self._processes(value)
            elif "." not in name and (name in KEYS or name in own_keys()):
                self.take(name, value, self.origin(name))
            else:
                self._unknown((name,), "accelerate refuses a file with it")

    def take(self, name: str, value: object, origin: Origin) -> None:
        """The settings that a known key stands for."""
        path = own_keys().get(name) or KEYS[name]
        default = parameters()[path].default
        value = _typed(path, value)
        if name == "mixed_precision" and value is False:
            self.reading.problems.append(_bare_no(origin))
        elif name == "mixed_precision" and value is not None:
            self.reading.settings += _precision(value, origin)
        elif value is None and default is not None:
            return  # as if it were not there
        elif name == "gpu_ids" and value in (None, "all"):
            return
        else:
            inner = "." in name and isinstance(value, str)  # the launcher makes text of all these
            self.reading.settings.append(Setting(path, value, origin, text=inner))
        if name in FLAG_ONLY and value != default:
            what = Said(f"{name} has no effect in this file", f"{name} 写在该文件中不起作用")
            why = Said(
                "accelerate 1.15 takes it from the command line only: there its default counts",
                "accelerate 1.15 只从命令行读取它：以命令行的默认值为准",
            )
            self.reading.notes.append(Note(what, str(origin), why, "no effect", name))

    def _processes(self, value: object) -> None:
        origin, machines = self.origin("num_processes"), self.values.get("num_machines")
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            count = machines if isinstance(machines, int) and machines > 0 else 1
            if value % count:
                each = value // count
                what = Said(
                    f"{value} processes are read as {each} on each machine",
                    f"{value} 个进程读作每台机器 {each} 个",
                )
                why = Said("accelerate rounds down", "accelerate 向下取整")
                self.reading.notes.append(Note(what, str(origin), why))
            value = value // count
        if value != -1:  # 'give it on the command line'
            self.reading.settings.append(Setting(KEYS["num_processes"], value, origin))

    def _block(self, block: str, value: object) -> None:
        kind, prefix = BLOCKS[block]
        if not value and (value is None or isinstance(value, dict)):
            return
        if not isinstance(value, dict):
            self.reading.problems.append(
                Problem(
                    what=f"{block} = {_short(value)} is no section",
                    where=str(self.origin(block)),
                    why="it holds keys of its own",
                    fix=f"write the keys below {block}:, or leave it out",
                )
            )
            return
        written = self.values.get("distributed_type")
        if kind and written != kind:
            what = Said(f"{block} has no effect", f"{block} 不起作用")
            why = Said(
                f"distributed_type is {written}, and not {kind}",
                f"distributed_type 为 {written}，而不是 {kind}",
            )
            where = str(self.origin(block))
            self.reading.notes.append(Note(what, where, why, "no effect", block))
            return
        for key, one in cast(dict[Any, Any], value).items():
            name = f"{block}.{key if str(key).startswith(prefix) else f'{prefix}{key}'}"
            origin = self.origin(block, str(key))
            if name in UNREAD:
                what = Said(f"{key} has no effect", f"{key} 不起作用")
                now = UNREAD[name]
                why = Said(f"the name that is read is {now}", f"实际读取的名字是 {now}")
                self.reading.notes.append(Note(what, str(origin), why, "no effect", str(key)))
            elif name in KEYS or name in own_keys():
                self.take(name, one, origin)
            else:
                self._unknown((block, str(key)), "accelerate reads it nowhere, and says nothing")

    def _former(self, name: str, value: object) -> None:
        """Keys of accelerate's first files, which it still reads."""
        origin = self.origin(name)
        now = "mixed_precision" if name == "fp16" else "dynamo_config.dynamo_backend"
        why = Said("accelerate reads the old name still", "accelerate 仍读取旧名")
        what = Said(f"{name} is read as {now}", f"{name} 读作 {now}")
        self.reading.notes.append(Note(what, str(origin), why, "renamed", name))
        if name == "fp16" and value is True and self.values.get("mixed_precision") is None:
            self.reading.settings += _precision("fp16", origin)
        elif name == "dynamo_backend" and value != "NO":
            self.take(now, value, origin)

    def _unknown(self, keys: Keys, why: str) -> None:
        name, above = ".".join(keys), ".".join(keys[:-1])
        known = [*own_keys(), *KEYS, *BLOCKS]
        beside = [key for key in known if key.rpartition(".")[0] == above]
        like = nearest(name, beside, at_least=0.7) or nearest(name, known, at_least=0.7)
        elsewhere = [key for key in known if key.rpartition(".")[2] == keys[-1]]
        fix = f"write {(elsewhere or [like])[0]}" if elsewhere or like else "leave it out"
        self.reading.problems.append(
            Problem(f"there is no key {name}", str(self.origin(*keys)), why, fix)
        )


def _typed(path: str, value: object) -> object:
    """A value in the declared type, where accelerate takes it in another form too."""
    kinds = alternatives(path)
    if isinstance(value, str) and bool in kinds:
        return TRUTH.get(value.lower(), value)
    if isinstance(value, int) and not isinstance(value, bool) and str in kinds and int not in kinds:
        return str(value)  # gpu_ids: 0
    return value


def _bare_no(origin: Origin) -> Problem:
    return Problem(
        what="mixed_precision is false",
        where=str(origin),
        why="YAML 1.1 reads a bare no as false, and accelerate then fails",
        fix="write 'no', with its quotes",
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write(run: Run) -> str:
    """Accelerate's YAML file of a run: the keys that one was read with, as the run has them now,
    and what else of accelerate's own is set. Where none was read, what it cannot do without comes
    from the run.
    """
    tree: dict[str, Any] = {}
    for setting in run.settings:
        block, _, key = setting.origin.spelling.rpartition(".")
        prefix = BLOCKS.get(block, ("", ""))[1]
        name = f"{block}.{key if key.startswith(prefix) else prefix + key}" if block else key
        if setting.path in (own_keys().get(name), KEYS.get(name)):
            _put(tree, name, _written(run, name))
    if "distributed_type" not in tree:
        tree = {**_needed(run), **tree}
    for name, path in own_keys().items():
        if run.get(path) != parameters()[path].default:
            _put(tree, name, _written(run, name))
    return "\n".join(yaml_lines(tree)) + "\n"


def _needed(run: Run) -> dict[str, Any]:
    """What accelerate's file has to say of a run that none was read for."""
    kind = "MULTI_GPU" if run.launch.all_processes > 1 else "NO"
    kind = "DEEPSPEED" if run.launch.deepspeed else "FSDP" if run.launch.fsdp else kind
    for name, path in own_keys().items():
        needed = BLOCKS.get(name.partition(".")[0], ("", ""))[0]
        kind = needed if needed and run.get(path) != parameters()[path].default else kind
    tree: dict[str, Any] = {"compute_environment": "LOCAL_MACHINE", "distributed_type": kind}
    if run.launch.deepspeed:  # whose file then decides the precision
        tree["deepspeed_config"] = {"deepspeed_config_file": run.launch.deepspeed}
    else:
        tree["mixed_precision"] = run.precision.mixed
    return {**tree, "num_machines": run.launch.nodes, "num_processes": run.launch.all_processes}


def _written(run: Run, name: str) -> object:
    if name == "num_processes":
        return run.launch.all_processes
    if name == "mixed_precision":
        eight = run.accelerate.mixed_precision == "fp8" and run.precision.mixed == "bf16"
        return "fp8" if eight else run.precision.mixed
    value = run.get(own_keys().get(name) or KEYS[name])
    return list(cast(tuple[object, ...], value)) if isinstance(value, tuple) else value


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    block, _, key = name.rpartition(".")
    (tree.setdefault(block, {}) if block else tree)[key] = value


MARK = re.compile(r"^(compute_environment|distributed_type|\w+_config)\s*:", re.MULTILINE)


def reads(text: str, file: str) -> bool:
    """Whether YAML text is accelerate's file."""
    if not MARK.search(text):
        return False
    try:
        values, _ = read_yaml(text, file, "1.1")
    except UserError:
        return False
    return isinstance(values, dict) and is_accelerate(cast(dict[str, object], values))
