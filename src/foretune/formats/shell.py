"""The commands of a shell script with their variables filled in, without running anything.

Followed are assignments, ``export``, arrays, ``eval``, lists and pipelines of commands, and
variables set for one command alone. What only a running shell knows (``$(...)``, ``$1``, what an
``if`` or a loop decides) is kept as it is written and marked, so that the reader of a value can say
so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..params.setting import Note
from ..text import Said, counted, place, sentence_list
from .shell_words import Lexer, Part, ShellWord, Token


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the program receives it."""

    text: str
    raw: str = ""
    """As written: '$LR'."""
    line: int | None = None
    running: tuple[str, ...] = ()
    """What in it only a running shell knows, as written: '$(shuf -n 1)', '$1'."""
    unset: tuple[str, ...] = ()
    """Variables in it that nothing in the script sets; a shell puts nothing in their place."""
    vanished: bool = False
    """True where nothing is left of it: a shell then drops the word."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its words."""

    words: tuple[Word, ...]
    line: int
    environment: Mapping[str, Word]
    """Variables that the program is given by the script, each with the word that set it."""
    kept_back: Mapping[str, Word]
    """Variables that the script sets for itself and does not export."""
    block: str = ""
    """Where it stands inside of something that may run never or often: 'the for of line 3'."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a shell script runs, in order."""

    file: str
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]


def read_shell(text: str, file: str) -> Script:
    """Reads a script. Raises UserError for an open quote and for a here-document."""
    lexer = Lexer(text, file)
    reader = _Reader(file)
    reader.follow(lexer.tokens())
    notes = (*lexer.notes(), *reader.notes)
    return Script(file, tuple(reader.commands), notes)


ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?=)", re.ASCII)
OPENING = ("if", "for", "while", "until", "case", "select")
INSIDE = ("then", "else", "elif", "do", "time", "!")
CLOSING = ("fi", "done", "esac", "}")
DECLARING = ("export", "declare", "typeset", "readonly", "local")
OF_THE_SHELL = ("RANDOM", "SECONDS", "LINENO", "HOSTNAME", "PWD", "OLDPWD", "USER", "UID", "PPID")


@dataclass(slots=True)
class _Variable:
    words: tuple[Word, ...]
    exported: bool = False


@dataclass(slots=True)
class _Reader:
    """Follows the commands one by one and remembers what is set."""

    file: str
    commands: list[Command] = field(default_factory=list[Command])
    notes: list[Note] = field(default_factory=list[Note])
    variables: dict[str, _Variable] = field(default_factory=dict[str, _Variable])
    blocks: list[str] = field(default_factory=list[str])
    """What is open at this point, outermost first: 'the for of line 3', '' for a plain group."""
    function: str = ""
    """The function whose opening brace comes next."""
    depends: bool = False
    """Whether the next command runs only if the one before it succeeds, or fails."""

    def follow(self, tokens: Iterable[Token]) -> None:
        """Cuts the tokens into commands and follows each."""
        words: list[ShellWord] = []
        array: list[ShellWord] | None = None
        before = ""
        for token in tokens:
            if isinstance(token, ShellWord):
                if array is not None:
                    array.append(token)
                elif not _redirects(before):
                    words.append(token)
                before = ""
                continue
            if array is not None:
                if token.text == ")":
                    self._assign_array(words.pop(), array)
                    array = None
            elif token.text == "(" and words and _is_open_assignment(words[-1]):
                array = []
            elif not _redirects(token.text):
                if token.text == ")" and before == "(":
                    self.function = f"the function of line {token.line}"
                self._command(words)
                words = []
                if token.text != "\n":  # which may follow any operator
                    self.depends = token.text in ("&&", "||")
            before = token.text
        self._command(words)

    def _command(self, words: Sequence[ShellWord]) -> None:
        words = self._through_keywords(list(words))
        assignments = _leading_assignments(words)
        words = words[len(assignments) :]
        if not words:
            self._assign(assignments)
            return
        if any(word.flattened for word in words):
            assignments, words = self._unflatten(assignments, words)
        name = words[0].raw
        if name in DECLARING:
            self._declare(name, words[1:])
        elif name in ("unset", "read"):
            self._forget(name, words[1:])
        elif name == "eval":
            self._evaluate(words)
        else:
            self._add(assignments, words)

    def _through_keywords(self, words: list[ShellWord]) -> list[ShellWord]:
        while words:
            word = words[0]
            if word.raw == "function":
                self.function = f"the function of line {word.line}"
                words = words[1:]
            elif word.raw in OPENING:
                self.blocks.append(f"the {word.raw} of line {word.line}")
                if word.raw in ("for", "select") and len(words) > 1:
                    self._uncertain(words[1].raw)
                if word.raw in ("for", "select", "case"):
                    return []
            elif word.raw in CLOSING:
                if self.blocks:
                    self.blocks.pop()
                return []
            elif word.raw == "{":
                self.blocks.append(self.function)
                self.function = ""
            elif word.raw not in INSIDE:
                return words
            words = words[1:]
        return words

    @property
    def block(self) -> str:
        return next((block for block in reversed(self.blocks) if block), "")

    def _assign(self, assignments: Iterable[ShellWord], *, exported: bool = False) -> None:
        for assignment in assignments:
            name, operator = _name_and_operator(assignment)
            before = self.variables.get(name)
            value = self.value(assignment)
            if operator == "+=" and before:
                value = replace(
                    value, text="".join(word.text for word in before.words) + value.text
                )
            was_exported = before is not None and before.exported
            self.variables[name] = _Variable((value,), exported or was_exported)
            self._if_certain(name)

    def _assign_array(self, word: ShellWord, items: Sequence[ShellWord]) -> None:
        name, operator = _name_and_operator(word)
        before = self.variables[name].words if operator == "+=" and name in self.variables else ()
        self.variables[name] = _Variable((*before, *self.expand_all(items)))
        self._if_certain(name)

    def _if_certain(self, name: str) -> None:
        if self.block or self.depends:
            self._uncertain(name)

    def _uncertain(self, name: str) -> None:
        """What the variable holds is known when the script runs."""
        decider = self.block or "the command in front"
        word = Word(f"${name}", f"${name}", running=(f"${name}, which {decider} decides,",))
        exported = name in self.variables and self.variables[name].exported
        self.variables[name] = _Variable((word,), exported)

    def _declare(self, name: str, words: Sequence[ShellWord]) -> None:
        exported = name == "export" or any(word.raw == "-x" for word in words)
        given = [word for word in words if not word.raw.startswith("-")]
        self._assign((word for word in given if _is_assignment(word)), exported=exported)
        for word in given:
            if exported and word.raw in self.variables:
                self.variables[word.raw].exported = True

    def _forget(self, name: str, words: Sequence[ShellWord]) -> None:
        for word in words:
            if name == "unset":
                self.variables.pop(word.raw, None)
            elif not word.raw.startswith("-"):
                text = f"${word.raw}"
                self.variables[word.raw] = _Variable((Word(text, text, running=(text,)),))

    def _evaluate(self, words: Sequence[ShellWord]) -> None:
        text = " ".join(word.text for word in self.expand_all(words[1:]))
        self.follow(Lexer(text, self.file, first_line=words[0].line).tokens())

    def _unflatten(
        self, assignments: list[ShellWord], words: list[ShellWord]
    ) -> tuple[list[ShellWord], list[ShellWord]]:
        """Gives assignments of a flattened script the lines of their own that they had.

        In front of a command they are set for the program alone, and ``$LR`` behind it is nothing.
        """
        if words[0].raw == "export":
            exports = _leading_assignments(words[1:])
            self._assign(exports, exported=True)
            further = _leading_assignments(words[1 + len(exports) :])
            assignments, words = further, words[1 + len(exports) + len(further) :]
        used = set(_variables_in([*words, *assignments]))
        own = [word for word in assignments if _name_and_operator(word)[0] in used]
        if own:
            self._assign(own)
            names = [_name_and_operator(word)[0] for word in own]
            what = Said(
                f"{sentence_list(names)} in front of the command read as "
                f"{counted(len(own), 'line')} above it",
                f"命令前面的 {sentence_list(names, language='zh')} 读作它上面的 {len(own)} 行",
            )
            why = Said(
                "the line ends were lost; as it stands a shell fills in nothing for them",
                "换行丢失了；照现在的样子，shell 不会代入它们的值",
            )
            self.notes.append(Note(what, place(self.file, words[0].line), why))
        return [word for word in assignments if word not in own], words

    def _add(self, assignments: Sequence[ShellWord], words: Sequence[ShellWord]) -> None:
        exported = {
            name: v.words[0] for name, v in self.variables.items() if v.exported and v.words
        }
        for_it = {_name_and_operator(word)[0]: self.value(word) for word in assignments}
        environment = {**exported, **for_it}
        kept_back = {
            name: variable.words[0]
            for name, variable in self.variables.items()
            if name not in environment and variable.words
        }
        line = words[0].line
        expanded = tuple(self.expand_all(words))
        if expanded:
            self.commands.append(Command(expanded, line, environment, kept_back, self.block))

    def value(self, assignment: ShellWord) -> Word:
        """The value of NAME=value: one word, whatever blanks a variable brings into it."""
        name, operator = _name_and_operator(assignment)
        first = assignment.parts[0]
        rest = replace(first, text=first.text[len(name) + len(operator) :])
        whole = [replace(part, quoted=True) for part in (rest, *assignment.parts[1:])]
        parts = (rest, *whole[1:]) if rest.text.startswith("~") else tuple(whole)
        word = next(iter(self.expand(replace(assignment, parts=parts))))
        return replace(word, vanished=False)

    def expand_all(self, words: Iterable[ShellWord]) -> Iterator[Word]:
        """The words that these become, in order."""
        for word in words:
            yield from self.expand(word)

    def expand(self, word: ShellWord) -> list[Word]:
        """The words that one becomes: an unquoted variable may hold several, or none."""
        made = _Fields()
        for index, part in enumerate(word.parts):
            if part.kind == "variable":
                self._fill_in(part, made)
            elif part.kind == "running":
                made.append(part.text)
                made.running.append(part.text)
            else:
                text = part.text
                if index == 0 and not part.quoted and text.startswith("~"):
                    text = _at_home(text)
                made.append(text)
        common = (word.raw, word.line, tuple(made.running), tuple(made.unset))
        if not made.fields:
            return [Word("", *common, vanished=True)] if made.unset else []
        return [Word(text, *common) for text in made.fields]

    def _fill_in(self, part: Part, made: _Fields) -> None:
        name, operator = part.text, part.operator
        variable = self.variables.get(name)
        empty = variable is None or not any(word.text for word in variable.words)
        missing = empty if operator.startswith(":") else variable is None
        if operator.endswith("+"):
            if not missing:
                made.splice(self._otherwise(part), part.quoted)
        elif missing and operator[-1:] in ("-", "="):
            value = self._otherwise(part)
            if operator.endswith("="):
                self.variables[name] = _Variable((Word(value),))
            made.splice(value, part.quoted)
        elif variable is not None:
            running = [known for word in variable.words for known in word.running]
            made.running += running
            made.unset += [known for word in variable.words for known in word.unset]
            texts = [word.text for word in variable.words]
            whole = part.quoted or bool(running)  # the blanks of $(shuf -n 1) cut nothing
            if operator == "[@]":
                made.spread(texts, whole)
            else:
                made.splice(" ".join(texts) if operator == "[*]" else "".join(texts[:1]), whole)
        elif name == "HOME":
            made.splice(str(Path.home()), part.quoted)
        elif name in OF_THE_SHELL or name.isdigit():
            made.append(f"${name}")
            made.running.append(f"${name}")
        else:
            made.unset.append(name)
            made.splice("", part.quoted)

    def _otherwise(self, part: Part) -> str:
        inner = tuple(replace(piece, quoted=True) for piece in part.otherwise)
        return "".join(word.text for word in self.expand(ShellWord(inner, "", 0, False)))


@dataclass(slots=True)
class _Fields:
    """The words that one word is becoming."""

    fields: list[str] = field(default_factory=list[str])
    running: list[str] = field(default_factory=list[str])
    unset: list[str] = field(default_factory=list[str])
    broken: bool = True
    """True where the next text begins a new word."""

    def append(self, text: str) -> None:
        """Adds text that is not cut at blanks."""
        if self.broken:
            self.fields.append("")
        self.fields[-1] += text
        self.broken = False

    def splice(self, text: str, quoted: bool) -> None:
        """Adds the value of a variable, which is cut at blanks unless it is quoted."""
        if quoted:
            self.append(text)
            return
        pieces = re.split(r"[ \t\n]+", text)
        for index, piece in enumerate(pieces):
            if index:
                self.broken = True
            if piece:
                self.append(piece)

    def spread(self, texts: Sequence[str], quoted: bool) -> None:
        """Adds the items of an array, each a word of its own."""
        for index, text in enumerate(texts):
            self.broken = self.broken or index > 0
            self.splice(text, quoted)


def _leading_assignments(words: Sequence[ShellWord]) -> list[ShellWord]:
    found: list[ShellWord] = []
    for word in words:
        if not _is_assignment(word):
            break
        found.append(word)
    return found


def _is_assignment(word: ShellWord) -> bool:
    """Whether it is NAME=value, with a name that is not quoted."""
    if not word.parts or word.parts[0].quoted:
        return False
    return ASSIGNMENT.match(word.parts[0].text) is not None


def _name_and_operator(assignment: ShellWord) -> tuple[str, str]:
    found = ASSIGNMENT.match(assignment.parts[0].text)
    assert found is not None
    return found[1], found[2]


def _redirects(operator: str) -> bool:
    """Whether the word behind it is a file, and none of the command's words."""
    return "<" in operator or ">" in operator


def _is_open_assignment(word: ShellWord) -> bool:
    """Whether it is ``NAME=`` with nothing behind it, as in front of the bracket of an array."""
    return len(word.parts) == 1 and ASSIGNMENT.fullmatch(word.parts[0].text) is not None


def _variables_in(words: Iterable[ShellWord]) -> Iterator[str]:
    for word in words:
        for part in word.parts:
            if part.kind == "variable":
                yield part.text
            yield from _variables_in(
                [replace(word, parts=part.otherwise)] if part.otherwise else []
            )


def _at_home(text: str) -> str:
    user, slash, rest = text.partition("/")
    return f"{Path.home()}{slash}{rest}" if user == "~" else text
