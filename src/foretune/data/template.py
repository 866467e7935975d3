"""A chat template as text: what it makes of a conversation, which characters of that are learnt,
and the token ids of both.

A template is a program, and each is another one. What is known of one here is found by rendering:

- a prompt is the conversation up to a question, with ``add_generation_prompt``;
- an answer is what stands behind its prompt, up to the control token that ends the turn. What the
  template writes after that (often a new line) no model has to write, and it is not learnt;
- a template that says itself what the assistant writes, in ``{% generation %}`` blocks, is
  followed.

The text is encoded whole, just as ``tokenizer.apply_chat_template`` does it, but for two cases, in
which it is encoded in pieces: a control token that a user has named is cut in two, so that it stays
letters; and no token may reach over the border between prompt and answer, since nothing stands
behind that border when the answer is generated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from jinja2 import TemplateError

from ..errors import refuse
from ..params.data import Data

Message = dict[str, str]
Span = tuple[int, int]
"""From character to character of a text, or from token to token."""

CUT, OPEN, CLOSE, STAND_IN = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
"""Characters that Unicode reserves for a program's own use; they stand in no text."""

GENERATION = re.compile(r"(\{%[-+]?)\s*(end)?generation\s*([-+]?%\})")
RENDERING = (TemplateError, TypeError, ValueError, LookupError, AttributeError)
"""What a template may raise that does not take a conversation."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation that ends with an answer."""

    text: str
    prompt: int
    """Characters of the prompt that the last answer is generated from."""
    stop: int
    """Characters up to the end of the last answer, the token that ends its turn included."""
    answers: tuple[Span, ...]
    """What is learnt: the last answer, or every one."""


class Template:
    """The chat template of a tokenizer."""

    def __init__(self, tokenizer: Any, source: str, *, plain: bool) -> None:
        """``plain``: control tokens that users name stay letters."""
        self.tokenizer = tokenizer
        added = [
            token for token in tokenizer.added_tokens_decoder.values() if len(token.content) > 1
        ]
        special = {token.content for token in added if token.special}
        # Others only where the template writes them: Gemma's runs of blanks are added tokens, too.
        written = {
            token.content
            for token in added
            if token.content in source and not token.content.isspace()
        }
        self.special = _any_of(special)
        self.control = _any_of(special | written)
        self.in_answers = _Names(special if plain else ())
        self.in_questions = _Names(special | written if plain else ())
        self.control_ids = {
            number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.content in special | written and number != tokenizer.unk_token_id
        }
        self.marked = _with_marks(source)
        self.tail = self._tail([message("user", "?"), message("assistant", "!")])
        self.new_line: list[int] = tokenizer.encode("\n", add_special_tokens=False)
        self._alone = lru_cache(maxsize=64)(
            lambda text: tokenizer.encode(text, add_special_tokens=False)
        )

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text that an answer is generated from."""
        return self._text(self._as_text(messages), add_generation_prompt=True)

    def cue(self, messages: Sequence[Message]) -> str:
        """The end of a prompt, behind its question: what asks for the answer."""
        stood_in = [*self._as_text(messages[:-1]), message("user", STAND_IN)]
        return self._text(stood_in, add_generation_prompt=True).rpartition(STAND_IN)[2]

    def conversation(self, messages: Sequence[Message], *, every: bool) -> Rendered:
        """A conversation whose last message is an answer.

        Raises:
            UserError: where what is learnt would not be what is generated: the template writes
                something else in front of an answer than the prompt, or changes earlier answers.
        """
        messages = self._as_text(messages)
        marked = self._text(messages, chat_template=self.marked) if self.marked else ""
        text = _unmarked(marked) if self.marked else self._text(messages)
        prompt = self._text(messages[:-1], add_generation_prompt=True)
        if not text.startswith(prompt):
            raise _other_prompt(prompt, text)
        text, stop = self._ended(text, messages)
        if found := [(start, self._closed(text, (start, end))) for start, end in _spans(marked)]:
            last = [span for span in found if span[1] > len(prompt)]
            return Rendered(text, len(prompt), stop, tuple(found if every else last))
        earlier = [
            self._earlier(messages[: index + 1], text)
            for index, one in enumerate(messages[:-1])
            if every and one["role"] == "assistant"
        ]
        return Rendered(text, len(prompt), stop, (*earlier, (len(prompt), stop)))

    @property
    def opening(self) -> int:
        """Tokens of an answer up to its text, and one of that."""
        made = self.conversation([message("user", "?"), message("assistant", "!")], every=False)
        text = made.text.rindex("!", made.prompt, made.stop) + 1
        _, (prompt, first) = self.encode(made.text, [made.prompt, text])
        return first - prompt

    def turn_ends(self) -> list[int]:
        """The ids at which an answer is over: of the token behind it, and where that is not the
        template's own, of what opens the next turn.
        """
        messages = [message("user", "?"), message("assistant", STAND_IN)]
        made = self.conversation(messages, every=False)
        ids, (stop,) = self.encode(made.text, [made.stop])
        ends = [ids[stop - 1]]
        if not self.control.search(self.tail):
            behind = self._text([*messages, message("user", "?")]).partition(STAND_IN)[2]
            if found := self.control.match(behind):
                ends.append(self.tokenizer.convert_tokens_to_ids(found[0]))
        return ends

    def encode(self, text: str, at: Sequence[int] = ()) -> tuple[list[int], list[int]]:
        """The ids of a text, and how many of them stand before each of the characters ``at``, which
        ascend.
        """
        if CUT not in text:
            made = self.tokenizer(
                text, add_special_tokens=False, return_attention_mask=False, verbose=False
            )
            ids = made["input_ids"]
            places = [self._tokens_before(text, character, ids, made) for character in at]
            whole = [place for place in places if place is not None]
            if len(whole) == len(places):
                return ids, whole
        ids, places = [], []
        borders = [0, *at, len(text)]
        for start, end in pairwise(borders):
            places.append(len(ids))
            for piece in text[start:end].split(CUT):
                ids += self._ids(piece, first=not ids)
        return ids, places[1:]

    # Texts

    def _text(self, messages: Sequence[Message], **options: Any) -> str:
        try:
            return self.tokenizer.apply_chat_template(list(messages), tokenize=False, **options)
        except RENDERING as refusal:
            roles = ", ".join(one["role"] for one in messages)
            raise refuse(
                what=f"the chat template does not take a conversation of {roles}",
                where="chat_template of the tokenizer",
                why=" ".join(str(refusal).split()) or type(refusal).__name__,
                fix="give rows that it takes (some know no system message), or another template "
                "(chat_template.jinja beside the tokenizer)",
            ) from refusal

    def _as_text(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, control tokens that are named in them cut in two.

        An answer may have the tokens that are not special (the marks around a model's thoughts).
        """
        return [
            message(
                one["role"],
                (self.in_answers if one["role"] == "assistant" else self.in_questions).cut(
                    one["content"]
                ),
            )
            for one in messages
        ]

    def _tail(self, messages: Sequence[Message]) -> str:
        """What the template writes behind the last answer."""
        stood_in = [*messages[:-1], message("assistant", STAND_IN)]
        return self._text(stood_in).rpartition(STAND_IN)[2]

    def _ended(self, text: str, messages: Sequence[Message]) -> tuple[str, int]:
        """The text, and where its last answer ends. Where the template puts no control token behind
        an answer, the tokenizer's end token takes the place of what it puts there.
        """
        tail = self.tail if text.endswith(self.tail) else self._tail(messages)
        answered = len(text) - len(tail)
        if found := self.control.search(text, answered):
            return text, found.end()
        ended = text[:answered] + end_token(self.tokenizer)
        return ended, len(ended)

    def _earlier(self, messages: Sequence[Message], text: str) -> Span:
        """An answer that others follow."""
        prompt = self._text(messages[:-1], add_generation_prompt=True)
        ended, stop = self._ended(self._text(messages), messages)
        if not self.control.search(self.tail):  # there the end token is ours
            stop -= len(end_token(self.tokenizer))
        if not (text.startswith(prompt) and text.startswith(ended[:stop])):
            raise refuse(
                what="the chat template writes an earlier answer otherwise than the last one",
                where="data.trained_answers",
                why="every answer is to be learnt, and an earlier one does not stand there as it "
                "is generated (templates of models that think leave out what was thought)",
                fix="set data.trained_answers to 'last'",
            )
        return len(prompt), self._closed(text, (len(prompt), stop))

    def _closed(self, text: str, span: Span) -> int:
        """The end of an answer, with the control token behind it where the answer has none."""
        start, end = span
        inside = [found.end() for found in self.special.finditer(text, start, end)]
        if inside and inside[-1] == len(text[:end].rstrip()):
            return end
        found = self.control.match(text, end)
        return found.end() if found else end

    # Ids

    def _tokens_before(self, text: str, at: int, ids: list[int], made: Any) -> int | None:
        """How many tokens make up the text before a character; None where these are other tokens
        than without what follows.
        """
        if at in (0, len(text)):
            return len(ids) if at else 0
        if not self.tokenizer.is_fast or (token := made.char_to_token(at)) is None:
            before = self.tokenizer.encode(text[:at], add_special_tokens=False)
            return len(before) if before == ids[: len(before)] else None
        if made.token_to_chars(token).start != at:
            return None
        apart = token - 1  # nothing reaches over a control token: what is before it stays
        while apart > 0 and ids[apart] not in self.control_ids:
            apart -= 1
        alone = self._alone(text[made.token_to_chars(apart).start : at])
        return token if alone == ids[apart:token] else None

    def _ids(self, piece: str, *, first: bool) -> list[int]:
        """The ids of a piece of text. SentencePiece puts a blank in front of a text: not in front
        of one that goes on, which is encoded behind a new line.
        """
        if not first:
            ids = self.tokenizer.encode("\n" + piece, add_special_tokens=False)
            if ids[: len(self.new_line)] == self.new_line:
                return ids[len(self.new_line) :]
        return self.tokenizer.encode(piece, add_special_tokens=False) if piece else []


class _Names:
    """Cuts the names of tokens in a text, each behind its first letter."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        self.first = {name[0] for name in names}
        # Looking ahead and taking one letter finds names that overlap, too.
        self.starts = re.compile(f"(?=(?:{_any_of(names).pattern}))(.)", re.DOTALL)

    def cut(self, text: str) -> str:
        if self.first.isdisjoint(text):
            return text
        return self.starts.sub(rf"\1{CUT}", text)


def template_of(tokenizer: Any, data: Data) -> Template | None:
    """The chat template of a tokenizer; None where it has none."""
    if not tokenizer.chat_template:
        return None
    try:
        source = tokenizer.get_chat_template()
    except ValueError as several:
        raise refuse(
            what="none of the tokenizer's chat templates is called 'default'",
            where="chat_template of the tokenizer",
            why=" ".join(str(several).split()),
            fix="put the one that is meant into chat_template.jinja beside the tokenizer",
        ) from None
    return _template(tokenizer, source, data.read_as == "plain")


@lru_cache(maxsize=4)
def _template(tokenizer: Any, source: str, plain: bool) -> Template:
    return Template(tokenizer, source, plain=plain)


def message(role: str, content: str) -> Message:
    """A message as templates read it."""
    return {"role": role, "content": content}


def end_token(tokenizer: Any) -> str:
    """The token that ends a text. Raises UserError where the tokenizer has none."""
    if tokenizer.eos_token is None:
        raise refuse(
            what="the tokenizer has no end token, and no template that ends an answer",
            where=str(tokenizer.name_or_path or "the tokenizer"),
            why="a model that is not taught to end its answers goes on for ever",
            fix='name one in tokenizer_config.json, such as "eos_token": "</s>"',
        )
    return str(tokenizer.eos_token)


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the names, the longest first; nothing where there is none."""
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)")


def _with_marks(source: str) -> str:
    """The template with a mark where each ``{% generation %}`` block begins and ends; "" without
    such blocks. The mark is inside a statement: blanks around an expression are kept otherwise.
    """
    marked, count = GENERATION.subn(
        lambda found: (
            f"{found[1]} if true %}}{{{{ '{CLOSE if found[2] else OPEN}' }}}}{{% endif {found[3]}"
        ),
        source,
    )
    return marked if count else ""


def _unmarked(text: str) -> str:
    return text.replace(OPEN, "").replace(CLOSE, "")


def _spans(marked: str) -> list[Span]:
    """Where the marked parts are once the marks are gone."""
    spans: list[Span] = []
    start = 0
    for gone, found in enumerate(re.finditer(f"[{OPEN}{CLOSE}]", marked)):
        at = found.start() - gone
        if found[0] == OPEN:
            start = at
        else:
            spans.append((start, at))
    return spans


def _other_prompt(prompt: str, text: str) -> Exception:
    same = 0
    while same < min(len(prompt), len(text)) and prompt[same] == text[same]:
        same += 1
    return refuse(
        what="the chat template puts another text in front of an answer than the prompt",
        where="chat_template of the tokenizer",
        why=f"answers are generated behind {prompt[same:][-60:]!r}; with the answer there, "
        f"{text[same:][:60]!r} stands in its place, and would be learnt",
        fix="change the template (chat_template.jinja beside the tokenizer), so that what it gives "
        "with add_generation_prompt is the beginning of what it gives with the answer",
    )
