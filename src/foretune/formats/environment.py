"""Environment variables that a script sets for its program, as a document: those that are known are
explained; one that looks like a known one and is not is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..params.document import Document
from ..params.environment import Environment
from ..params.setting import Note, Origin, is_secret
from ..text import Said, nearest
from .accelerate import flags, own_keys
from .documents import field_names, of_known_types

KIND = Said("environment", "环境变量")
OTHERS = ("NCCL_", "TORCH_", "PYTORCH_", "HF_", "WANDB_", "ACCELERATE_", "DS_", "CUDA_", "FSDP_")
"""Beginnings of names of which there are many more than are declared here."""


TWINS = ("ACCELERATE_DEEPSPEED_", "ACCELERATE_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
ODD_TWINS = {
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "fsdp_transformer_layer_cls_to_wrap",
    "ACCELERATE_DEEPSPEED_ZERO3_INIT": "zero3_init_flag",
    **dict.fromkeys(
        (f"ACCELERATE_FP8_OVERRIDE_{one}" for one in ("FPROP", "DGRAD", "WGRAD")),
        "fp8_override_linear_precision",
    ),
}


def twin(variable: str) -> str | None:
    """The flag of `accelerate launch`, or the key of its file, that sets a variable for the
    processes that it starts.
    """
    if variable in ODD_TWINS:
        return ODD_TWINS[variable]
    starts = [start for start in TWINS if variable.startswith(start)]
    names = [variable.lower(), *(variable.removeprefix(start).lower() for start in starts)]
    known = {*flags(), *(key.rpartition(".")[2] for key in own_keys())}
    return next((name for name in names if starts and name in known), None)


def read_environment(
    variables: Mapping[str, tuple[str, Origin]], file: str
) -> tuple[Document | None, list[Note]]:
    """The known variables as a document, and a note for each that nothing seems to read. ``file``
    is the script that sets them.
    """
    known = field_names(Environment)
    keys = {
        name: "***" if is_secret(name) else text
        for name, (text, _) in variables.items()
        if name in known
    }
    lines = {name: origin.line for name, (_, origin) in variables.items() if name in known}
    notes = list(_unlike(variables, known))
    if not keys:
        return None, notes
    found = {name: line for name, line in lines.items() if line is not None}
    declared, more = of_known_types(Environment, keys, file, found)
    return Document(kind=KIND, file=file, declared=declared, keys=keys, lines=found), notes + more


def _unlike(
    variables: Mapping[str, tuple[str, Origin]], known: Mapping[str, str]
) -> Iterator[Note]:
    for name, (_, origin) in variables.items():
        if name in known:
            continue
        if flag := twin(name):
            what = Said(
                f"{name} is what --{flag} of accelerate launch sets",
                f"{name} 就是 accelerate launch 的 --{flag} 所设置的变量",
            )
            why = Said(
                f"`foretune explain {flag}` says what it does", f"`foretune explain {flag}` 有说明"
            )
            yield Note(what, str(origin), why)
            continue
        like = nearest(name, known, at_least=0.9)
        if like is not None and not (name.startswith(OTHERS) and like.startswith(OTHERS)):
            what = Said(f"{name} is no variable that is known", f"{name} 不是已知的环境变量")
            meant = Said(f"did you mean {like}?", f"是否想写 {like}？")
            yield Note(what, str(origin), meant)
