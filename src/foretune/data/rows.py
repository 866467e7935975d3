"""Rows: a prompt, a response and the rounds before them, each with the line it stands on.

A row is written in columns of its own for prompt, response and history, or as one list of messages.
Everything that is wrong with a file is found in one pass and raised together. Knows no torch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from ..errors import Problem, UserError
from ..params.data import Data
from ..text import counted, nearest, place, sentence_list

History = tuple[tuple[str, str], ...]
"""Rounds before the newest question, the oldest first: ((question, answer), ...)."""

Record = tuple[int, Any]
"""Line in the file, and what was read there."""

ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot"), "assistant"),
    "system": "system",
}
"""Who says a message, as people write it."""

KEYS = (("role", "content"), ("from", "value"))
"""Under which keys a message has who says it, and what."""

SHOWN = 20
"""Problems that are told one by one; of the others the number is told."""


@dataclass(frozen=True, slots=True)
class Row:
    """One example as the user wrote it."""

    line: int
    prompt: str
    response: str
    history: History = ()
    system: str = ""
    """What a conversation is opened with, before its first round; empty where nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The usable rows of a file, and how many others there were."""

    file: str
    rows: list[Row]
    """Rows with a prompt and a response, in the order of the file."""
    read: int
    """Rows read, up to the limit: the usable, the empty and the bad ones."""
    empty: int
    """Rows without a prompt or without a response. The official code drops them without a word."""
    bad: int
    """Rows that cannot be used and were skipped because ``data.bad_rows`` says so."""
    out_of_turn: tuple[int, ...] = ()
    """Lines of the bad ones in which somebody speaks out of turn."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def rows_of(
    file: str, records: Iterable[Record | Problem], data: Data, *, limit: int | None = None
) -> Rows:
    """The rows that ``records`` hold under the columns of ``data``; at most ``limit`` are read.

    Raises:
        UserError: with every row that cannot be used, unless ``data.bad_rows`` is "skip"; with
            what ended the reading (broken JSON has no next row); when no usable row is left.
    """
    stream = RowStream(file, records, data, limit=limit)
    rows = list(stream)
    return Rows(
        file=file,
        rows=rows,
        read=stream.read,
        empty=stream.empty,
        bad=stream.bad,
        out_of_turn=stream.out_of_turn,
    )


class RowStream:
    """The usable rows of a file one after the other, and how many others there were so far."""

    def __init__(
        self,
        file: str,
        records: Iterable[Record | Problem],
        data: Data,
        *,
        limit: int | None = None,
    ) -> None:
        self.file = file
        self.usable = self.empty = self.bad = 0
        self._records = islice(records, limit)
        self._data = data
        self._columns = _Columns(file, data)
        self._problems: list[Problem] = []

    @property
    def read(self) -> int:
        """Rows read: the usable, the empty and the bad ones."""
        return self.usable + self.empty + self.bad

    @property
    def out_of_turn(self) -> tuple[int, ...]:
        """Lines of the bad rows in which somebody speaks out of turn."""
        return tuple(self._columns.out_of_turn)

    def __iter__(self) -> Iterator[Row]:
        """Raises UserError as `rows_of` does, at the end of the file or where it breaks off."""
        try:
            for record in self._records:
                row, found = self._row(record)
                if row is None:
                    self.bad += 1
                    self._problems += found
                elif row.prompt and row.response:
                    self.usable += 1
                    yield row
                else:
                    self.empty += 1
        except UserError as broken_off:
            _raise(self.file, self.bad, [*self._problems, *broken_off.problems])
        if absent := self._columns.absent_from_all(self.read):
            raise UserError(absent)
        if self.bad and (self._data.bad_rows == "refuse" or self.bad == self.read):
            _raise(self.file, self.bad, self._problems)
        if not self.usable:
            raise UserError(_nothing_left(self.file, self.read, self._data))

    def _row(self, record: Record | Problem) -> tuple[Row | None, list[Problem]]:
        return (None, [record]) if isinstance(record, Problem) else self._columns.row(*record)


class _Columns:
    """Takes the columns that a run names out of records, and remembers which were missing."""

    def __init__(self, file: str, data: Data) -> None:
        self.file = file
        self.prompt, self.response = data.prompt_column, data.response_column
        self.history = data.history_column
        self.messages = data.messages_column
        self.missing: Counter[str | None] = Counter()
        self.there: list[str] = []
        self.first_line = 1
        self.out_of_turn: list[int] = []

    def row(self, line: int, record: Any) -> tuple[Row | None, list[Problem]]:
        """The row of a record, or None and what is wrong with it."""
        if not isinstance(record, dict):
            return None, [self._problem(line, *_no_object(record))]
        if not self.there:
            self.there, self.first_line = list(record), line
        problems: list[Problem] = []
        if self.messages is not None:
            row = self._conversation(line, record, self.messages, problems)
            return (None, problems) if problems else (row, problems)
        prompt = self._text(line, record, self.prompt, problems)
        response = self._text(line, record, self.response, problems)
        history: History = ()
        if self.history is not None:
            if self.history not in record:
                self.missing[self.history] += 1
            elif rounds := record[self.history]:
                history = self._rounds(line, rounds, problems)
        return (None, problems) if problems else (Row(line, prompt, response, history), problems)

    def absent_from_all(self, read: int) -> list[Problem]:
        """A column that no row has is one problem, not one for each row."""
        wanted = {"data.prompt_column": self.prompt, "data.response_column": self.response}
        if self.history is not None:
            wanted["data.history_column"] = self.history
        if self.messages is not None:
            wanted = {"data.messages_column": self.messages}
        return [
            self._absent(self.first_line, path, column)
            for path, column in wanted.items()
            if read and (column is None or self.missing[column] == read)
        ]

    def _text(
        self, line: int, record: dict[str, Any], column: str | None, problems: list[Problem]
    ) -> str:
        if column is None or column not in record:
            self.missing[column] += 1
            path = "data.prompt_column" if column == self.prompt else "data.response_column"
            problems.append(self._absent(line, path, column, list(record)))
            return ""
        value = record[column]
        if value is None:
            return ""
        if wrong := _wrong_text(value):
            problems.append(self._problem(line, f"{column} {wrong[0]}", *wrong[1:]))
            return ""
        return value

    def _rounds(self, line: int, rounds: Any, problems: list[Problem]) -> History:
        rounds = _from_cell(rounds)
        pairs = rounds if isinstance(rounds, list) else [rounds]
        for pair in pairs:
            if not (
                isinstance(pair, list | tuple)
                and len(pair) == 2
                and not any(map(_wrong_text, pair))
            ):
                what = f"{self.history} holds {_short(pair)}"
                why = "history is the list of the rounds before this question"
                fix = 'write it as [["question", "answer"], ...], the oldest round first'
                problems.append(self._problem(line, what, why, fix))
                return ()
        return tuple((question, answer) for question, answer in pairs)

    def _conversation(
        self, line: int, record: dict[str, Any], column: str, problems: list[Problem]
    ) -> Row:
        """The row of a list of messages; one that says nothing is a row without a prompt."""
        empty = Row(line, "", "")
        if column not in record:
            self.missing[column] += 1
            path = "data.messages_column"
            problems.append(self._absent(line, path, column, list(record)))
            return empty
        value = record[column]
        messages = [] if value is None or value == "" else _from_cell(value)
        if not isinstance(messages, list):
            problems.append(self._problem(line, f"{column} is {_kind(messages)}", *NO_MESSAGES))
            return empty
        said, wrong = _messages(messages)
        if wrong and len(said) == len(messages):  # each is good by itself
            self.out_of_turn.append(line)
        for number, what, why, fix in wrong:
            what = f"{column}: message {number} of {len(messages)} {what}"
            problems.append(self._problem(line, what, why, fix))
        if problems or not said:
            return empty
        system = said.pop(0)[1] if said[0][0] == "system" else ""
        texts = [content for _, content in said]
        *history, (prompt, response) = zip(texts[::2], texts[1::2], strict=True)
        return Row(line, prompt, response, tuple(history), system)

    def _problem(self, line: int, what: str, why: str, fix: str) -> Problem:
        return Problem(what, place(self.file, line), why, fix)

    def _absent(
        self, line: int, path: str, column: str | None, there: list[str] | None = None
    ) -> Problem:
        there = self.there if there is None else there
        like = column and nearest(column, there)
        return Problem(
            what=f"there is no column {column!r}" if column else f"{path} is not given",
            where=place(self.file, line),
            why=f"{path} names what is read; the columns here: {sentence_list(there) or 'none'}",
            fix=f"set {path} to {like!r}" if like else f"set {path} to one of the columns",
        )


def _wrong_text(value: Any) -> tuple[str, str, str] | None:
    """What is wrong with a value that must be text: what, why and fix; None for good text."""
    if not isinstance(value, str):
        why = "prompts and responses are text; nothing is guessed from other types"
        return f"is {_kind(value)}: {_short(value)}", why, "write it as text, in quotes"
    if value.isascii():
        return None
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"{ord(value[error.start]):04x}"
        why = "it is one half of a pair, as a cut emoji leaves behind, and stands for no character"
        return f"holds the lone surrogate \\u{half}", why, "remove it or write the whole character"
    return None


def _from_cell(value: Any) -> Any:
    """What a csv cell holds as JSON; any other value as it is."""
    if isinstance(value, str):
        with suppress(ValueError):  # what is no JSON stays text, and that is no list
            return json.loads(value)
    return value


Wrong = tuple[int, str, str, str]
"""The number of a message, what is wrong with it, why, and the fix."""

NO_MESSAGES = (
    "a conversation is the list of its messages",
    'write it as [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]',
)


def _messages(messages: list[Any]) -> tuple[list[tuple[str, str]], list[Wrong]]:
    """Who says what, and everything wrong with it; an order is looked for in good messages only."""
    said: list[tuple[str, str]] = []
    wrong: list[Wrong] = []
    for number, message in enumerate(messages, start=1):
        if found := _wrong_message(message):
            wrong.append((number, *found))
        else:
            who, what = next(keys for keys in KEYS if keys[0] in message and keys[1] in message)
            said.append((ROLES[message[who]], message[what] or ""))
    return said, wrong or list(_wrong_order([role for role, _ in said]))


def _wrong_message(message: Any) -> tuple[str, str, str] | None:
    """What is wrong with a message (what, why and fix); None for a good one."""
    why, fix = NO_MESSAGES
    if not isinstance(message, dict):
        return f"is {_kind(message)}: {_short(message)}", why, fix
    keys = next((keys for keys in KEYS if keys[0] in message and keys[1] in message), None)
    if keys is None:
        what = f"has the keys {sentence_list(message) or 'of nothing'}"
        return what, "a message has role and content, or from and value", fix
    name, content = message[keys[0]], message[keys[1]]
    if not isinstance(name, str) or name not in ROLES:
        known = f"the roles are {sentence_list(ROLES)}"
        return f"has the {keys[0]} {_short(name)}", known, "give it one of these roles"
    wrong = None if content is None else _wrong_text(content)
    return wrong and (f"of {name}: its {keys[1]} {wrong[0]}", *wrong[1:])


def _wrong_order(roles: list[str]) -> Iterator[Wrong]:
    """The first message that is out of turn, or the last one where no answer ends it."""
    why = "user and assistant take turns, after at most one system message; an answer ends it"
    start = int(roles[:1] == ["system"])
    for turn, role in enumerate(roles[start:]):
        due = ("user", "assistant")[turn % 2]
        if role != due:
            what = f"is of {role}, where {due} has the turn"
            fix = "join messages that one role says in a row, or leave this one out"
            yield start + turn + 1, what, why, fix
            return
    if roles and roles[-1] != "assistant":
        what = f"is the last, and of {roles[-1]}"
        yield len(roles), what, why, "add the answer, or leave it out"


def _no_object(value: Any) -> tuple[str, str, str]:
    why = "a row is an object whose keys are the columns"
    return f"this row is {_kind(value)}: {_short(value)}", why, 'write {"column": "text", ...}'


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _raise(file: str, bad: int, problems: list[Problem]) -> NoReturn:
    shown, more = problems[:SHOWN], len(problems) - SHOWN
    if more > 0:
        what = f"{counted(more, 'more problem')} of this kind"
        why = f"{counted(bad, 'row')} of this file cannot be used"
        shown.append(Problem(what, file, why, "mend them, or set data.bad_rows to 'skip'"))
    raise UserError(shown)


def _nothing_left(file: str, read: int, data: Data) -> Problem:
    columns = f"the columns {data.prompt_column!r} and {data.response_column!r}"
    if data.messages_column is not None:
        columns = f"the last two messages in {data.messages_column!r}"
    return Problem(
        what=f"{counted(read, 'row')} read, and none can be used" if read else "there are no rows",
        where=file,
        why="a row needs a prompt and a response that are not empty",
        fix=f"fill {columns}, or name others" if read else "give a file that has rows",
    )
