"""A shell script as words and operators, each with its line; nothing of it is run.

The quoting is that of POSIX sh (IEEE 1003.1, section 2.2) with bash's ``$'...'``, arrays and
here-strings. What web pages and word processors do to a script (line ends flattened to a backslash
and a blank, long dashes, curly quotes) is mended, and every mend is noted with its line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import UserError, refuse
from ..params.setting import Note
from ..text import Said, counted, place, sentence_list


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: text, a variable to be filled in, or what only a running shell knows."""

    kind: Literal["text", "variable", "running"]
    text: str
    """The text, the name of the variable, or what stood there."""
    quoted: bool
    operator: str = ""
    """Of ``${NAME:-else}``: ':-'."""
    otherwise: tuple[Part, ...] = ()
    """Of ``${NAME:-else}``: what stands for 'else'."""


@dataclass(frozen=True, slots=True)
class ShellWord:
    """A word before its variables are filled in."""

    parts: tuple[Part, ...]
    raw: str
    line: int
    flattened: bool
    """Whether a line end that was flattened to a backslash and a blank stands in front of it."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What ends a command or redirects it: a line end, ';', '|', '2>'."""

    text: str
    line: int


Token = ShellWord | Operator

ODD_BLANKS = "\u00a0\u2002\u2003\u2009\u3000"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
BLANKS = " \t" + ODD_BLANKS
CURLY = {"\u201c": "\u201d", "\u201d": "\u201d", "\u2018": "\u2019", "\u2019": "\u2019"}
OPERATOR = re.compile(
    r"\n|;;&?|;|&&|\|\||\|&|\||&>>|&>|&|\(|\)|\d*(?:<<<|<<-?|<&|<>|<|>>|>&|>\||>)"
)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
BRACED = re.compile(r"(?P<name>\w+)(?P<operator>\[[@*]\]|:?[-=?+])?", re.ASCII)
SPECIAL = re.compile(r"[0-9@*#?$!-]")
LONG_DASHES = re.compile(
    r"[-\u2010-\u2015\u2212\uff0d]*[\u2010-\u2015\u2212\uff0d][-\u2010-\u2015\u2212\uff0d]*(?=([A-Za-z]+))"
)
LINE_END = re.compile(rf"\\[{BLANKS}]*(?:\n|\Z)")
FLATTENED = re.compile(rf"\\[{BLANKS}]+(?=[^\s{ODD_BLANKS}])")
FLATTENED_INSIDE = re.compile(rf"\\[{BLANKS}]+(?=--[A-Za-z])")
DEEPEST = 20
"""Variables inside of what stands in for a variable: ${A:-${B:-c}} is one."""

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}

MENDS = {
    "flattened": Said(
        "{count} flattened to a backslash and a blank read as line ends again",
        "{count} 处换行被压成反斜杠加空格，重新读作换行",
    ),
    "trailing": Said(
        "{count} with a blank behind the backslash, none for a shell, read as one",
        "{count} 处反斜杠后面有空格，shell 不认作续行，这里按续行读取",
    ),
    "last": Said(
        "{count} at the end of the file, with nothing to go on with, left out",
        "文件末尾 {count} 个反斜杠后面没有内容，已略去",
    ),
    "dash": Said(
        "{count} with a long dash, as word processors write it, read with hyphens",
        "{count} 个参数用了文字处理软件的长破折号，读作连字符",
    ),
    "quote": Said("{count} read as straight ones", "{count} 个弯引号读作直引号"),
    "blank": Said(
        "{count} of a kind that a shell takes for a letter read as a blank or left out",
        "{count} 个 shell 会当作字母的空白，读作空格或略去",
    ),
    "carriage": Said(
        "{count} of the Windows kind read as line ends; bash would not",
        "{count} 处 Windows 换行读作换行；bash 不会这样",
    ),
}
MENDED = {
    "flattened": "line end", "trailing": "line end", "last": "backslash", "dash": "flag",
    "quote": "curly quote", "blank": "blank", "carriage": "line end",
}  # fmt: skip


class Lexer:
    """Reads words and operators one after the other; ``mended`` holds the lines put right."""

    def __init__(self, text: str, file: str, *, first_line: int = 1, depth: int = 0) -> None:
        self.file, self.first_line, self.depth = file, first_line, depth
        self.mended: dict[str, list[int]] = {}
        plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.text, self.at = plain, 0
        self.starts = [0, *(end.end() for end in re.finditer("\n", plain))]
        if "\r\n" in text:
            self.mended["carriage"] = list(range(1, text.count("\r\n") + 1))

    def line(self, at: int | None = None) -> int:
        """The line of a position, counted from 1."""
        return self.first_line + bisect_right(self.starts, self.at if at is None else at) - 1

    def mend(self, kind: str) -> None:
        self.mended.setdefault(kind, []).append(self.line())

    def notes(self) -> Iterator[Note]:
        """What was mended so far, one note for each kind."""
        for kind, lines in self.mended.items():
            form, count = MENDS[kind], counted(len(lines), MENDED[kind])
            what = Said(form.format(count=count), form.zh.format(count=len(lines)))
            where = sentence_list((place(self.file, line) for line in sorted(set(lines))), most=3)
            yield Note(what, where, Said("the script is read as it was meant", "按脚本的本意读取"))

    def tokens(self) -> Iterator[Token]:
        """Every word and operator of the script, comments left out."""
        flattened = False
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in BLANKS or character in INVISIBLE:
                self._blank(character)
            elif found := LINE_END.match(self.text, self.at):
                self._line_end(found[0])
            elif found := FLATTENED.match(self.text, self.at):
                self.mend("flattened")
                self.at, flattened = found.end(), True
            elif character == "#":
                self.at = (self.text + "\n").index("\n", self.at)
            elif found := OPERATOR.match(self.text, self.at):
                line, self.at = self.line(), found.end()
                self._refuse_heredoc(found[0], line)
                yield Operator(found[0], line)
            else:
                yield self._word(flattened)
                flattened = False

    def _blank(self, character: str) -> None:
        if character not in " \t":
            self.mend("blank")
        self.at += 1

    def _line_end(self, found: str) -> None:
        """A backslash at the end of a line: the command goes on in the next one."""
        if not found.endswith("\n"):
            self.mend("last")
        elif found != "\\\n":
            self.mend("trailing")
        self.at += len(found)

    def _refuse_heredoc(self, operator: str, line: int) -> None:
        if "<<" in operator and "<<<" not in operator:
            raise refuse(
                what=f"{operator} begins a here-document",
                where=place(self.file, line),
                why="its text goes to a program that foretune does not run, and may not be shell",
                fix="put the command that starts the training into a script of its own",
            )

    def _word(self, flattened: bool) -> ShellWord:
        start, line = self.at, self.line()
        parts: list[Part] = []
        if found := LONG_DASHES.match(self.text, self.at):
            self.mend("dash")
            parts.append(Part("text", "--" if len(found[1]) > 1 else "-", quoted=False))
            self.at = found.end()
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in BLANKS or character in "\n;&|()<>":
                break
            if character == "\\":
                if found := LINE_END.match(self.text, self.at):
                    self._line_end(found[0])
                    if found[0] != "\\\n":
                        break
                elif FLATTENED_INSIDE.match(self.text, self.at):
                    break
                else:
                    parts.append(Part("text", self.text[self.at + 1], quoted=True))
                    self.at += 2
            else:
                parts += self._piece(character)
        return ShellWord(tuple(parts), self.text[start : self.at].strip(), line, flattened)

    def _piece(self, character: str) -> list[Part]:
        """The parts that begin with an unquoted character."""
        if character == "'":
            end = self._closing("'", self.at + 1)
            return self._took(end + 1, Part("text", self.text[self.at + 1 : end], quoted=True))
        if character == '"':
            return self._double_quoted('"')
        if character in CURLY and self._curly_closes(character):
            self.mend("quote")
            return self._double_quoted(CURLY[character] + ('"' if character in "“”" else "'"))
        if character in INVISIBLE:
            self._blank(character)
            return []
        if self.text.startswith("$'", self.at):
            return [self._ansi_quoted()]
        if self.text.startswith('$"', self.at):
            self.at += 1
            return self._double_quoted('"')
        if character in "$`":
            return [self._dollar(quoted=False)]
        end = next(
            (i for i in range(self.at, len(self.text)) if self.text[i] in _ENDS), len(self.text)
        )
        end = max(end, self.at + 1)
        return self._took(end, Part("text", self.text[self.at : end], quoted=False))

    def _curly_closes(self, character: str) -> bool:
        """Whether it is a quote, and no apostrophe."""
        rest = self.text[self.at + 1 :].partition("\n")[0]
        return any(closing in rest for closing in CURLY[character])

    def _took(self, end: int, part: Part) -> list[Part]:
        self.at = end
        return [part]

    def _closing(self, quotes: str, start: int) -> int:
        """The position of the quote that closes the one before ``start``."""
        found = re.compile(f"[{quotes}]").search(self.text, start)
        if found is None:
            raise self._unclosed(self.text[start - 1], start - 1)
        return found.start()

    def _unclosed(self, opening: str, at: int) -> UserError:
        return refuse(
            what=f"{opening} is opened and never closed",
            where=place(self.file, self.line(at)),
            why="everything behind it would belong to it",
            fix=f"close it, or write \\{opening} where the character itself is meant",
        )

    def _double_quoted(self, closing: str) -> list[Part]:
        start, parts, text = self.at, [Part("text", "", quoted=True)], ""
        self.at += 1
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in closing:
                self.at += 1
                return [*parts, Part("text", text, quoted=True)]
            if character == "\\" and self.text[self.at + 1 : self.at + 2] in tuple('$`"\\\n'):
                text += self.text[self.at + 1].replace("\n", "")
                self.at += 2
            elif character in "$`":
                parts += [Part("text", text, quoted=True), self._dollar(quoted=True)]
                text = ""
            else:
                text += character
                self.at += 1
        raise self._unclosed(self.text[start], start)

    def _ansi_quoted(self) -> Part:
        start, text = self.at, ""
        self.at += 2
        while self.at < len(self.text):
            character, self.at = self.text[self.at], self.at + 1
            if character == "'":
                return Part("text", text, quoted=True)
            if character == "\\" and self.at < len(self.text):
                escaped, self.at = self.text[self.at], self.at + 1
                text += ESCAPES.get(escaped, escaped if escaped in "\\'\"?" else f"\\{escaped}")
            else:
                text += character
        raise self._unclosed("$'", start)

    def _dollar(self, *, quoted: bool) -> Part:
        """A variable, or a substitution that only a running shell can make."""
        start = self.at
        if self.text[start] == "`":
            self.at = self._closing("`", start + 1) + 1
            return Part("running", self.text[start : self.at], quoted)
        if self.text.startswith("$(", start):
            self.at = self._matching(start + 1, "(", ")") + 1
            return Part("running", self.text[start : self.at], quoted)
        if self.text.startswith("${", start):
            self.at = self._matching(start + 1, "{", "}") + 1
            return self._braced(self.text[start : self.at], quoted)
        if found := NAME.match(self.text, start + 1):
            self.at = found.end()
            return Part("variable", found[0], quoted)
        self.at += 1
        if found := SPECIAL.match(self.text, self.at):
            self.at += 1
            return Part("running", f"${found[0]}", quoted)
        return Part("text", "$", quoted)

    def _matching(self, at: int, opening: str, closing: str) -> int:
        """Where the bracket at ``at`` is closed; brackets inside quotes do not count."""
        depth, start, quote = 0, at, ""
        while at < len(self.text):
            character = self.text[at]
            if character == "\\" and quote != "'":
                at += 1
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
            elif character in (opening, closing):
                depth += 1 if character == opening else -1
                if depth == 0:
                    return at
            at += 1
        raise self._unclosed(f"${opening}", start)

    def _braced(self, raw: str, quoted: bool) -> Part:
        inner = raw[2:-1]
        found = BRACED.match(inner)
        if found is None or (not found["operator"] and found.end() < len(inner)):
            return Part("running", raw, quoted)
        if self.depth >= DEEPEST:
            raise refuse(
                what=f"{raw[:20]}... is nested more than {DEEPEST} times",
                where=place(self.file, self.line()),
                why="nobody writes such a script, and reading it would take for ever",
                fix="write the value out",
            )
        line, depth = self.line(), self.depth + 1
        rest = Lexer(inner[found.end() :], self.file, first_line=line, depth=depth)
        otherwise: list[Part] = []
        while rest.at < len(rest.text):  # blanks belong to it, so it is no ordinary word
            character = rest.text[rest.at]
            special = character in "'\"$`" and not (quoted and character in "'\"")
            if special:
                otherwise += rest._piece(character)
            else:
                rest.at += 1
                otherwise.append(Part("text", character, quoted))
        return Part("variable", found["name"], quoted, found["operator"] or "", tuple(otherwise))


_ENDS = frozenset(BLANKS + INVISIBLE + "\n;&|()<>\\'\"$`" + "".join(CURLY))
