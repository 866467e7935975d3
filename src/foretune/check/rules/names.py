"""Rules about names: arguments that were renamed or removed, keys that nothing reads, and what is
written twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...formats.programs import PATHS
from ...formats.training_arguments import KEYS
from ...params.arch.chatglm2 import ChatGLM2
from ...params.run import parameters
from ...params.setting import Kind, Note, Origin
from ...text import Said, nearest
from ..finding import Found, both
from ..rule import ARGUMENT, CONFIG, Example, Subject, rule
from .beside import model_keys
from .examples import CHATGLM2, DATA

WITHOUT_EFFECT = (
    "apply_query_key_layer_scaling", "attention_softmax_in_fp32", "bias_dropout_fusion",
    "attention_dropout", "fp32_residual_connection", "original_rope", "tie_word_embeddings",
)  # fmt: skip
"""Keys of ChatGLM2's config.json that change nothing, whatever they say."""

HERE = "train.sh:7 ({})"
"""Where the notes of the examples stand."""


def _note(name: str, kind: Kind, where: str) -> Note:
    """What a reader of a file would say of an argument, for the examples."""
    what = Said(f"{name} has no effect", f"{name} 不起作用")
    return Note(what, where, Said("nothing reads it", "没有代码读取它"), kind, name)


def told(it: Subject, kind: str) -> Iterator[tuple[Note, Origin]]:
    """What the readers of the run's files had to say of one kind, each thing once."""
    for note in dict.fromkeys(it.run.notes):
        if note.kind == kind and note.name:
            place = re.fullmatch(r"(.*?)(?::(\d+))?(?: \((.*)\))?", note.where, re.DOTALL)
            file, line, spelling = place.groups() if place else (note.where, None, None)
            yield note, Origin(file, int(line) if line else None, spelling or note.name)


def path_of(name: str) -> str:
    """The parameter behind an argument, or the argument where it sets none."""
    if name in parameters():
        return name
    return KEYS.get(name) or PATHS.get(name) or f"{ARGUMENT}{name}"


@rule(
    "N101",
    "*",
    severity="note",
    source="https://github.com/hiyouga/LlamaFactory/issues/7927",
    flags=Example(
        {"schedule.warmup": 0.1, **DATA},
        notes=(_note("warmup_ratio", "renamed", "example.sh:1 (schedule.warmup)"),),
    ),
    allows=Example({**DATA, "schedule.warmup": 0.1}),
)
def an_argument_bears_an_old_name(it: Subject) -> Iterator[Found]:
    """transformers 5 refuses names that earlier versions took, and the run stops before it begins.
    foretune reads them as what they stand for today.

    transformers 5 不再接受一些旧参数名，程序一开始就会停下。foretune 会按它们如今的含义读取。
    """
    for note, origin in told(it, "renamed"):
        paths = [one.path for one in it.run.settings if one.origin == origin]
        new = next((name for name, path in KEYS.items() if path in paths), None)
        yield it.found(
            paths[0] if paths else f"{ARGUMENT}{note.name}",
            both(
                f"{note.name} is a name of transformers 4",
                f"{note.name} 是 transformers 4 的参数名",
            ),
            fix=both("leave it: foretune keeps it", "无需修改：foretune 仍然支持它")
            if new is None
            else both(f"write {new} for transformers 5", f"在 transformers 5 中写 {new}"),
            origin=origin,
        )


@rule(
    "N102",
    f"{ARGUMENT}*",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example(
        DATA,
        notes=(_note("overwrite_cache", "no effect", HERE.format("--overwrite_cache")),),
    ),
    allows=Example(DATA, notes=(_note("", "", "train.sh:1"),)),
)
def an_argument_changes_nothing(it: Subject) -> Iterator[Found]:
    """It reads as if it changed something, and the run is the same with it and without it.

    写上它看似改变了什么，其实有没有它，训练都一样。
    """
    for note, origin in told(it, "no effect"):
        yield it.found(
            f"{ARGUMENT}{note.name}",
            both(f"{note.what}: {note.why}", f"{note.what.zh}：{note.why.zh}"),
            fix=both("leave it out", "去掉它"),
            origin=origin,
        )


@rule(
    "N103",
    *(f"{CONFIG}{key}" for key in WITHOUT_EFFECT),
    severity="note",
    source="THUDM/chatglm2-6b, modeling_chatglm.py on torch 2: fused attention reads none of them",
    flags=Example(model={**CHATGLM2, "attention_dropout": 0.1}),
    allows=Example(model={**CHATGLM2, "attention_dropout": 0.0}),
    of=(ChatGLM2,),
)
def a_key_of_the_model_changes_nothing(it: Subject) -> Iterator[Found]:
    """Somebody has changed it, and no code that runs reads it: the published code takes fused
    attention with torch 2 and later, and the family has one form of rotary positions and an output
    layer of its own.

    有人改过这个键，但实际运行的代码不读取它：torch 2 及以上的官方代码使用融合注意力，而且该模型族只
    有一种旋转位置、输出层始终独立。
    """
    assert it.model is not None, "the rule is about one family"
    fields, written = type(it.model.architecture).model_fields, model_keys(it)
    for key in WITHOUT_EFFECT:
        if key in written and written[key] != fields[key].default:
            yield it.found(
                f"{CONFIG}{key}",
                both(
                    f"{key} {written[key]} has no effect",
                    f"{key} 为 {written[key]}，不起作用",
                ),
                fix=both("leave it as it was published", "保持官方的取值"),
            )


@rule(
    "N104",
    f"{CONFIG}*",
    severity="note",
    source="https://github.com/MakazhanAlpamys/Soup/issues/627",
    flags=Example(
        model={key: CHATGLM2[key] for key in CHATGLM2 if key != "seq_length"},
        notes=(_note("seq_lenght", "unknown", "config.json:4"),),
    ),
    allows=Example(model=CHATGLM2),
)
def a_key_of_the_model_is_not_known(it: Subject) -> Iterator[Found]:
    """Anybody may add keys to a config.json, and nothing complains of one that nobody reads. A key
    that is written wrongly leaves the right one at its default.

    任何人都可以往 config.json 里加键，没有程序读取也不会报错。键名写错时，正确的键就停留在默认值。
    """
    if it.model is None:
        return
    for note, origin in told(it, "unknown"):
        if origin.file != it.model.file:
            continue
        like = nearest(note.name, it.model.architecture.keys(), at_least=0.8)
        slip = like is not None and like not in it.model.keys
        fix = (
            both(f"did you mean {like}?", f"是否想写 {like}？")
            if slip
            else both(
                "leave it out, unless another program reads it", "除非别的程序要用，否则可去掉"
            )
        )
        yield it.found(
            f"{CONFIG}{note.name}",
            both(f"{note.name} is read by nothing here", f"没有任何代码读取 {note.name}"),
            fix=fix,
            severity="warning" if slip else None,
            origin=origin,
        )


@rule(
    "N105",
    "*",
    severity="warning",
    source="https://github.com/unslothai/unsloth/pull/10452",
    flags=Example(
        {**DATA, "schedule.max_steps": 3000},
        notes=(_note("max_steps", "twice", HERE.format("--max_steps 3000")),),
    ),
    allows=Example({**DATA, "schedule.max_steps": 3000}),
)
def one_thing_is_written_twice(it: Subject) -> Iterator[Found]:
    """The last one counts and the first is passed over, whichever of them was meant.

    以最后一个为准，前面的被忽略，不管哪个才是想要的。
    """
    for note, origin in told(it, "twice"):
        path = path_of(note.name)
        if path.startswith(ARGUMENT) and note.name in model_keys(it):
            path = f"{CONFIG}{note.name}"
        yield it.found(
            path,
            both(f"{note.name} is written twice", f"{note.name} 写了两次"),
            fix=both("leave one of them out", "只保留一个"),
            origin=origin,
        )


@rule(
    "N106",
    "*",
    severity="note",
    source="https://github.com/deepspeedai/DeepSpeed/issues/5221",
    flags=Example(DATA, notes=(_note("hostfile", "absent", HERE.format("--hostfile hostfile")),)),
    allows=Example(DATA),
)
def a_file_that_is_named_is_not_there(it: Subject) -> Iterator[Found]:
    """What it says is not known here, and none of it is checked. The deepspeed launcher goes on
    without a hostfile that it does not find, on the GPUs of one machine; other programs stop.

    它所写的内容这里不知道，也就没有检查。deepspeed 启动器找不到 hostfile 时只提示一句，然后仅用本机
    的 GPU 继续；其他程序会停下。
    """
    for note, origin in told(it, "absent"):
        path = next((one.path for one in it.run.settings if one.origin == origin), None)
        yield it.found(
            path or f"{ARGUMENT}{note.name}",
            both(f"{note.name} is not there", f"找不到文件 {note.name}"),
            fix=both(
                "check it where the file is, or name it among the files",
                "在有该文件的地方检查，或把它一并写在文件列表里",
            ),
            origin=origin,
        )


@rule(
    "N107",
    f"{ARGUMENT}*",
    severity="warning",
    source="accelerate 1.15, commands/launch.py: the flags of a program are read where it is on",
    flags=Example(DATA, notes=(_note("zero_stage", "turned off", HERE.format("--zero_stage 3")),)),
    allows=Example(DATA),
)
def flags_are_for_a_program_that_is_off(it: Subject) -> Iterator[Found]:
    """The flags say how DeepSpeed, FSDP or another program is to spread the model, and it is not
    turned on: every process then holds the whole model, and nothing complains.

    这些参数说明 DeepSpeed、FSDP 等如何切分模型，却没有打开它们：每个进程都保存整个模型，也没有任何
    提示。
    """
    for note, origin in told(it, "turned off"):
        yield it.found(
            f"{ARGUMENT}{note.name}",
            both(f"{note.what}: {note.why}", f"{note.what.zh}：{note.why.zh}"),
            fix=both("write that switch as well, or leave it out", "同时写上该开关，或去掉它"),
            origin=origin,
        )
