"""What two values of one key say together that the key's own words leave open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..explain.planned import Planned
from ..params.declare import Words
from ..plan.steps import COUNTS_THE_LAST_PARTIAL_ACCUMULATION
from ..plan.version import release

Planneds = tuple[Planned, Planned]


def remarks(name: str, values: tuple[object, object], sides: Planneds) -> Iterator[Words]:
    """The remarks on one key of a model's config that differs."""
    if name.endswith("_token_id"):
        yield from _alike(name, values, sides)
    if name == "transformers_version":
        yield from _counting(values)


def _alike(name: str, values: tuple[object, object], sides: Planneds) -> Iterator[Words]:
    """Which other special token has the same id."""
    for letter, value, side in zip("AB", values, sides, strict=True):
        keys: Mapping[str, object] = {} if side.model is None else side.model.keys
        same = [
            key
            for key, other in keys.items()
            if key.endswith("_token_id") and key != name and other == value and value is not None
        ]
        if same:
            yield Words(
                f"In {letter} it is the id of {', '.join(same)} too: a script that masks labels by "
                "this key masks that token with the padding.",
                f"在 {letter} 中它与 {'、'.join(same)} 是同一个 id：按该键屏蔽标签的脚本会把那个"
                "词元和填充一起屏蔽。",
            )


def _counting(values: tuple[object, object]) -> Iterator[Words]:
    """Whether logs of the two count their steps alike."""
    versions = [release(value) for value in values if isinstance(value, str)]
    if len(versions) < 2 or not all(versions):
        return
    since = [version >= COUNTS_THE_LAST_PARTIAL_ACCUMULATION for version in versions]
    edge = ".".join(map(str, COUNTS_THE_LAST_PARTIAL_ACCUMULATION))
    if since[0] == since[1]:
        when = Words("since", "起") if since[0] else Words("before", "之前")
        yield Words(
            f"Logs of both count steps in one way, that of transformers {when.en} {edge}.",
            f"两者的日志计步方式相同，都是 transformers {edge} {when.zh}的方式。",
        )
    else:
        yield Words(
            f"Their logs count steps in two ways: since transformers {edge} what is left over at "
            "the end of an epoch is a step too.",
            f"两者的日志计步方式不同：从 transformers {edge} 起，每轮末尾剩下的部分也算一步。",
        )
