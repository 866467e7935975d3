r"""Any other model that transformers has a class for: rows as its own chat template writes them.

    prompt                              answer  end        what the template adds
    <|im_start|>user \n .. assistant \n  ..     <|im_end|>  \n
     -100                                answer <|im_end|>  -100      (Qwen's template)

A row is the conversation of its system message, its history, its prompt and its response;
``data.source_prefix`` stands in front of the first question. The ids are those of
``tokenizer.apply_chat_template``. Learnt is what the model has to write: the answer and the token
that ends its turn; with ``data.trained_answers`` "every", all answers of the conversation. See
`template` for how they are found, and for control tokens that users name.

A tokenizer without a template belongs to a model that goes on with a text. There a row is its
prompt and its response as they stand, and the end token:

    <s>   prompt  response  </s>          (<s> where the tokenizer puts it in front of a text)
    -100   -100   response  </s>

Earlier rounds stand in front in the same way, each with its end token; before them the system
message and an empty line.

What is too long is cut as in ChatGLM3-6B: an example may have both limits and one token, or
``data.max_length``; the answer keeps its limit; of the prompt the oldest rounds go, then the end of
the question. Of an answer that is too long the end is lost, and with it the end token. There is no
official code for these models, and no protocol "official".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..errors import UserError, refuse
from ..params.data import Data
from .encoded import UNTRAINED, Cut, Encoded, Prompt, keep_newest, room_for_answer, text_ids
from .rows import History, Row
from .template import Message, Template, end_token, message, template_of

PADS_WHEN_PREPARED = False


def encode_training(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """Prompt and answer; labels on the last answer, or every one, and on what ends it."""
    talk, every = _talk(row, tokenizer, data), data.answers == "every"
    whole = talk.example(row.history, every=every)
    limit = constant_length(data)
    if len(whole.ids) <= limit:
        return Encoded(whole.ids, whole.labels)
    room = room_for_answer(data, limit, whole.prompt, lambda: len(talk.prompt(())))
    kept = min(len(whole.ids) - whole.prompt, room)
    prompt = _newest(talk, row, limit - kept)
    if prompt.rounds < len(row.history):
        whole = talk.example(row.history[len(row.history) - prompt.rounds :], every=every)
    end = whole.prompt + kept
    cut = Cut(prompt.lost, max(whole.stop - end, 0), prompt.question_lost)
    if not prompt.question_lost:
        return Encoded(whole.ids[:end], whole.labels[:end], cut)
    labels = [UNTRAINED] * len(prompt.ids) + whole.labels[whole.prompt : end]
    return Encoded([*prompt.ids, *whole.ids[whole.prompt : end]], labels, cut)


def encode_prompt(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """The prompt; as labels the answer and what ends it."""
    talk = _talk(row, tokenizer, data)
    whole = talk.example(row.history, every=False)
    answer = whole.ids[whole.prompt : whole.stop]
    labels = answer[: data.max_eval_target_length or data.max_target_length]
    prompt = _newest(talk, row, data.max_source_length)
    cut = Cut(prompt.lost, len(answer) - len(labels), prompt.question_lost)
    return Encoded(prompt.ids, labels, cut)


def constant_length(data: Data) -> int:
    """Tokens of the longest training example: both limits and one, or the limit of the whole."""
    return data.max_length or data.max_source_length + data.max_target_length + 1


def least_lengths(tokenizer: Any, data: Data) -> tuple[int, int]:
    """What the template writes around a question and in front of an answer, and a token of text.

    Raises:
        UserError: for the protocol "official".
    """
    if data.protocol == "official":
        raise refuse(
            what="data.protocol is 'official'",
            where="data.protocol",
            why="it repeats the authors' code token for token; there is none for this model, whose "
            "own chat template writes its rows",
            fix="set data.protocol to 'default'",
        )
    one = _talk(Row(0, "?", "!"), tokenizer, data).example((), every=False)
    template = template_of(tokenizer, data)
    return one.prompt, 1 if template is None else template.opening


def turn_ends(tokenizer: Any, data: Data) -> list[int]:
    """The ids at which an answer is over."""
    template = template_of(tokenizer, data)
    if template is not None:
        return template.turn_ends()
    return [tokenizer.convert_tokens_to_ids(end_token(tokenizer))]


@dataclass(frozen=True, slots=True)
class _Example:
    """Prompt and answer as ids and labels."""

    ids: list[int]
    labels: list[int]
    prompt: int
    """Tokens up to the last answer."""
    stop: int
    """Tokens up to its end; behind it is what the template adds."""


class _Talk(Protocol):
    """The conversation of a row, after as many rounds of its history as are asked for."""

    def example(self, history: History, *, every: bool) -> _Example:
        """The prompt and the answer."""
        ...

    def prompt(self, history: History) -> list[int]:
        """The prompt alone, as answers are generated from it."""
        ...

    def after_question(self, history: History) -> int:
        """Tokens of the prompt behind its question."""
        ...


def _talk(row: Row, tokenizer: Any, data: Data) -> _Talk:
    template = template_of(tokenizer, data)
    return _Bare(row, tokenizer, data) if template is None else _Templated(row, template, data)


def _newest(talk: _Talk, row: Row, room: int) -> Prompt:
    return keep_newest(talk.prompt, talk.after_question, row.history, room)


class _Templated:
    """As the chat template writes it."""

    def __init__(self, row: Row, template: Template, data: Data) -> None:
        self.row, self.template, self.data = row, template, data

    def example(self, history: History, *, every: bool) -> _Example:
        answer = message("assistant", self.row.response)
        with _at_its_line(self.row):
            made = self.template.conversation([*self._messages(history), answer], every=every)
        borders = sorted({made.prompt, made.stop, *(at for span in made.answers for at in span)})
        ids, places = self.template.encode(made.text, borders)
        token = dict(zip(borders, places, strict=True))
        labels = [UNTRAINED] * len(ids)
        for start, end in made.answers:
            learnt = slice(token[start], token[end])
            labels[learnt] = ids[learnt]
        return _Example(ids, labels, token[made.prompt], token[made.stop])

    def prompt(self, history: History) -> list[int]:
        return self.template.encode(self.template.prompt(self._messages(history)))[0]

    def after_question(self, history: History) -> int:
        return len(self.template.encode(self.template.cue(self._messages(history)))[0])

    def _messages(self, history: History) -> list[Message]:
        messages = [message("system", self.row.system)] if self.row.system else []
        prefix = self.data.source_prefix
        for question, answer in history:
            messages += [message("user", prefix + question), message("assistant", answer)]
            prefix = ""
        return [*messages, message("user", prefix + self.row.prompt)]


@contextmanager
def _at_its_line(row: Row) -> Iterator[None]:
    """What a template refuses is told with the line of the row, unless a parameter is at fault."""
    try:
        yield
    except UserError as error:
        raise UserError(
            replace(problem, where=f"line {row.line} of the data, {problem.where}")
            if row.line and not problem.where.startswith("data.")
            else problem
            for problem in error.problems
        ) from None


class _Bare:
    """As it stands, for a tokenizer without a template."""

    def __init__(self, row: Row, tokenizer: Any, data: Data) -> None:
        self.row, self.tokenizer, self.data = row, tokenizer, data
        self.end = tokenizer.convert_tokens_to_ids(end_token(tokenizer))
        first = tokenizer("?")["input_ids"][0]
        self.begin = [first] if first == tokenizer.bos_token_id else []

    def example(self, history: History, *, every: bool) -> _Example:
        ids, labels = self._rounds(history, every)
        answer = [*self._ids(self.row.response), self.end]
        whole = [*ids, *answer]
        return _Example(whole, labels + answer, len(ids), len(whole))

    def prompt(self, history: History) -> list[int]:
        return self._rounds(history, every=False)[0]

    def after_question(self, history: History) -> int:
        return 0

    def _rounds(self, history: History, every: bool) -> tuple[list[int], list[int]]:
        """The ids up to the last answer, and their labels."""
        front = f"{self.row.system}\n\n" if self.row.system else ""
        front += self.data.source_prefix
        ids, labels = list(self.begin), [UNTRAINED] * len(self.begin)
        for question, response in history:
            asked, answer = self._ids(front + question), [*self._ids(response), self.end]
            ids += [*asked, *answer]
            labels += [UNTRAINED] * len(asked) + (answer if every else [UNTRAINED] * len(answer))
            front = ""
        asked = self._ids(front + self.row.prompt)
        return [*ids, *asked], labels + [UNTRAINED] * len(asked)

    def _ids(self, text: str) -> list[int]:
        return text_ids(text, self.tokenizer, self.data)
