"""A comparison as plain text, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ..columns import columns, padded, terminal_width, wrapped
from ..explain.labels import STARS
from ..explain.phrases import alone, as_written, assumed_line
from ..explain.planned import Change
from ..params.declare import Words
from ..params.setting import DEFAULT, Origin
from ..text import in_language, number, place
from .comparison import Comparison, Design, Difference, Size, Spelling

FEW = 4
LABELS = {
    "sizes": Words("Sizes, by what they mean", "尺寸（按含义对照）"),
    "designs": Words("How they are built", "结构上的选择"),
    "same": Words("the same", "相同"),
    "differs": Words("What differs", "不同之处"),
    "follows": Words("What follows, all together (A against B)", "由此得出的差别（A 对 B）"),
    "alone": Words("Only {side} has", "只有 {side} 有的项"),
    "spelling": Words("Only spelling: the same value, written otherwise", "只是写法不同，取值一样"),
    "equal": Words("Nothing differs.", "没有不同。"),
    "only words": Words("Nothing differs but the spelling.", "除写法外没有不同。"),
    "unknown": Words("Nothing here reads it.", "这里没有代码读取它。"),
    "changes": Words("changes", "影响"),
    "derived": Words("follows", "推出"),
    "unwritten": Words("not written, so the default", "未写，取默认值"),
    "therefore": Words("Follows from these: {names}", "由上述推出：{names}"),
    "colon": Words(": ", "："),
    "aside": Words(" ({text})", "（{text}）"),
    "between": Words("; ", "；"),
    "notes": Words("Notes on {side}", "关于 {side} 的说明"),
}


class Text:
    """Lays a comparison out in lines."""

    def __init__(self, language: str, width: int | None = None):
        self.language = language
        self.width = width or terminal_width()

    def lines(self, comparison: Comparison) -> Iterator[str]:
        """All of it."""
        for letter, side in zip("AB", comparison.sides, strict=True):
            text = side.name + self.say("aside", text=side.kind.in_language(self.language))
            yield from self.paragraph(text, f"{letter}  ", "   ")
        yield from self.assumed(comparison)
        yield from self.models(comparison)
        if comparison.differences:
            yield from self.heading("differs")
            for number, difference in enumerate(d for d in comparison.differences if not d.derived):
                yield from ("",) * (number > 0)
                yield from self.difference(difference)
            yield from self.derived(comparison)
        if comparison.follows:
            yield from self.heading("follows")
            for change in comparison.follows:
                yield from self.change(change, "  ", "    ")
        if comparison.spellings:
            yield from self.heading("spelling")
            for spelling in comparison.spellings:
                yield from self.spelling(spelling)
        if comparison.equal:
            yield ""
            yield self.say("only words" if comparison.spellings else "equal")
        for letter, notes in zip("AB", comparison.notes, strict=True):
            if notes and (comparison.sizes or comparison.differences):
                yield from self.heading("notes", side=letter)
                for note in notes:
                    text = f"- {note.in_language(self.language)}"
                    yield from self.paragraph(text, "  ", "    ")

    def say(self, label: str, **parts: object) -> str:
        return LABELS[label].in_language(self.language).format(**parts)

    def heading(self, label: str, **parts: object) -> Iterator[str]:
        text = self.say(label, **parts)
        yield from ("", text, "─" * columns(text))

    def assumed(self, comparison: Comparison) -> Iterator[str]:
        """What the figures of a training step count and rest on, once where both sides agree."""
        told = [
            assumed_line(found, self.language) if found else ""
            for found in (side.planned.assumed_by(comparison.changes) for side in comparison.sides)
        ]
        letters = ("",) if told[0] == told[1] else ("A  ", "B  ")
        for letter, line in zip(letters, told, strict=False):
            if line:
                yield from self.paragraph(line, letter, "   ")

    def paragraph(self, text: str, indent: str = "", then: str | None = None) -> Iterator[str]:
        return wrapped(text, self.width, indent, then)

    def models(self, comparison: Comparison) -> Iterator[str]:
        """Models of two families: sizes by what they mean, choices by what they change."""
        if comparison.sizes:
            yield from self.heading("sizes")
            yield from self.sizes(comparison.sizes)
        if comparison.designs:
            yield from self.heading("designs")
            for design in comparison.designs:
                yield from self.design(design)
        for letter, entries in zip("AB", comparison.alone, strict=True):
            if entries:
                yield from self.heading("alone", side=letter)
            for entry in entries:
                words = entry.words.in_language(self.language)
                text = f"{entry.name}{self.say('colon')}{words}"
                yield from self.paragraph(text, "  ", "    ")

    def sizes(self, sizes: tuple[Size, ...]) -> Iterator[str]:
        """A table: what it is, and each side's key and value."""
        rows = [
            (
                size.words.in_language(self.language),
                *(self.key_and_value(key, value) for key, value in pairs(size)),
                "=" if size.same else "",
            )
            for size in sizes
        ]
        wide = [max(columns(row[place]) for row in rows) + 2 for place in range(3)]
        for row in rows:
            cells = (padded(text, width) for text, width in zip(row, wide, strict=False))
            yield f"  {''.join(cells)}{row[3]}".rstrip()

    def key_and_value(self, key: str | None, value: object) -> str:
        text = "-" if value is None else as_written(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = number(value)
        if key:
            return f"{key} {text}"
        return text if value is None else text + self.say("aside", text=self.say("derived"))

    def design(self, design: Design) -> Iterator[str]:
        """A question and both answers, with what each changes where they differ."""
        question = design.question.in_language(self.language)
        if design.same:
            name = design.answers[0].name.in_language(self.language)
            text = f"{question}{self.say('colon')}{name}{self.say('aside', text=self.say('same'))}"
            yield from self.paragraph(text, "  ", "    ")
            return
        yield f"  {question}"
        for letter, answer in zip("AB", design.answers, strict=True):
            name, changes = (
                words.in_language(self.language) for words in (answer.name, answer.changes)
            )
            text = f"{name}{self.say('colon')}{changes}"
            yield from self.paragraph(text, f"    {letter}  ", "       ")

    def difference(self, difference: Difference) -> Iterator[str]:
        """The value of each side, what the parameter is, and what this alone changes."""
        entry = difference.entry
        stars = padded(STARS[entry.facts.matters] if entry else "", 4)
        yield f"{stars}{difference.name}"
        both = zip("AB", difference.values, difference.origins, strict=True)
        for letter, value, origin in both:
            where = (
                self.say("unwritten") if origin == DEFAULT else self.place_of(origin, difference)
            )
            text = f"{as_written(value)} [{where}]"
            yield from self.paragraph(text, f"    {letter}  ", "       ")
        words = entry.words.in_language(self.language) if entry else self.say("unknown")
        yield from self.paragraph(words, "    ", "    ")
        for remark in difference.remarks:
            yield from self.paragraph(remark.in_language(self.language), "    · ", "      ")
        for change in difference.follows[:FEW]:
            yield from self.change(change, "    · ", "      ")

    def place_of(self, origin: Origin, difference: Difference) -> str:
        """Where a value stands; without the key where that is the heading's."""
        if origin.written and origin.spelling == difference.name:
            return place(origin.file, origin.line)
        return origin.in_language(self.language)

    def derived(self, comparison: Comparison) -> Iterator[str]:
        """In one paragraph, what differs because something else does."""
        told = [
            f"{one.name} {as_written(one.values[0])} → {as_written(one.values[1])}"
            for one in comparison.differences
            if one.derived
        ]
        if told:
            yield ""
            names = self.say("between").join(told)
            yield from self.paragraph(self.say("therefore", names=names), "    ", "    ")

    def change(self, change: Change, indent: str, then: str) -> Iterator[str]:
        """'Examples in one optimizer step: 16 → 128 examples'."""
        here, there = change.here, change.other
        label = f"{here.label(self.language)}{self.say('colon')}"
        yield from self.paragraph(
            f"{label}{alone(here)} → {there.shown_in(self.language)}", indent, then
        )

    def spelling(self, spelling: Spelling) -> Iterator[str]:
        """One value in two spellings."""
        told = (
            self.say("unwritten") if text == DEFAULT.reason else in_language(text, self.language)
            for text in spelling.written
        )
        sides = self.say("between").join(
            f"{letter}{self.say('colon')}{text}" for letter, text in zip("AB", told, strict=True)
        )
        text = f"{spelling.name} = {as_written(spelling.value)}  [{sides}]"
        yield from self.paragraph(text, "  ", "    ")
        if spelling.words is not None:
            words = spelling.words.in_language(self.language)
            yield from self.paragraph(words, "      ", "      ")


def pairs(size: Size) -> Iterator[tuple[str | None, object]]:
    """The key and the value of each side."""
    return zip(size.keys, size.values, strict=True)
