r"""Baichuan and Baichuan2: conversations as Baichuan2's ``fine-tune/fine-tune.py`` encodes them.

    ids     <195>  question  <196>  answer  <195>  question  <196>  answer  </s>
    labels  </s>   -100      -100   answer  </s>   -100      -100   answer  </s>

195 opens a turn of the user, 196 one of the assistant. No end token stands between the rounds: that
an answer is over is learnt from the label of the user token behind it. The whole may have
``data.max_length`` tokens, that script's ``model_max_length``; where it is not written, both limits
and </s>. The script also passes a mask that hides the padding, which comes after all that is
trained: without it every loss is the same.

In evaluation the prompt may have ``max_source_length`` tokens, the closing 196 among them. The
script evaluates nothing; "official" takes the prompt that the published ``chat`` builds.

Where ``data.protocol`` "default" differs from "official", and why:

    case                              official                      default
    --------------------------------  ----------------------------  ---------------------------
    training, too long                left end kept: the newest     oldest rounds go, then the
                                      answer's end is lost; with a  question's end; <196> and a
                                      long prompt all of it         part of the answer stay
    an answer that is too long        left end kept, </s> lost      the same; it is counted
    a system message                  a turn of the assistant,      without a mark in front, as
                                      which is trained              in chat; it is not trained
    an earlier answer that is empty   its end is trained            its end is not trained
    evaluation, question too long     its beginning is lost         its end is lost

Rows in which the newest question or answer is empty are left out, and counted, under both; the
script trains on them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..params.data import Data
from ..tokenizers.baichuan import ASSISTANT, USER
from .encoded import UNTRAINED, Cut, Encoded, Prompt, keep_newest, room_for_answer, text_ids
from .rows import History, Row

PADS_WHEN_PREPARED = True


def encode_training(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """The conversation and </s>; labels on the last answer, or every one, and on its end."""
    talk = _Talk(row, tokenizer, data)
    answer = [*talk.ids_of(row.response), tokenizer.eos_token_id]
    limit = constant_length(data)
    if data.protocol == "official":
        ids, labels = talk.prompt(row.history)
        lost = max(len(ids) + len(answer) - limit, 0)
        of_prompt = max(lost - len(answer), 0)
        cut = Cut(of_prompt, lost - of_prompt, question=of_prompt > 1)
        return Encoded([*ids, *answer][:limit], [*labels, *answer][:limit], cut)
    whole = len(talk.prompt(row.history)[0])
    room = room_for_answer(data, limit, whole, lambda: len(talk.prompt(())[0]))
    kept = answer[:room]
    prompt, labels = talk.newest(limit - len(kept))
    cut = Cut(prompt.lost, len(answer) - len(kept), prompt.question_lost)
    return Encoded([*prompt.ids, *kept], labels + kept, cut)


def encode_prompt(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """The conversation up to the last <196>; as labels what should follow."""
    talk = _Talk(row, tokenizer, data)
    answer = [*talk.ids_of(row.response), tokenizer.eos_token_id]
    labels = answer[: data.max_eval_target_length or data.max_target_length]
    room = data.max_source_length
    prompt = talk.as_chat(room) if data.protocol == "official" else talk.newest(room)[0]
    return Encoded(
        prompt.ids, labels, Cut(prompt.lost, len(answer) - len(labels), prompt.question_lost)
    )


def constant_length(data: Data) -> int:
    """Tokens of the longest training example."""
    return data.max_length or data.max_source_length + data.max_target_length + 1


def least_lengths(tokenizer: Any, data: Data) -> tuple[int, int]:
    """Both marks of a round, what stands in front of every prompt, and a token of text."""
    return len(_Talk(Row(0, "", ""), tokenizer, data).prompt(())[0]) + 1, 1


class _Talk:
    """The conversation of a row as ids and labels."""

    def __init__(self, row: Row, tokenizer: Any, data: Data) -> None:
        self.row, self.data, self.tokenizer = row, data, tokenizer
        self.end = tokenizer.eos_token_id
        self.every = data.answers == "every"
        self.official = data.protocol == "official"
        self.ids_of = lru_cache(None)(lambda text: text_ids(text, tokenizer, data))
        self.system = self.ids_of(row.system)

    def prompt(self, history: History) -> tuple[list[int], list[int]]:
        """The ids up to the cue to answer, after these rounds, and their labels."""
        ids, labels = list(self.system), [UNTRAINED] * len(self.system)
        if self.official and self.system:
            ids = [ASSISTANT, *ids]
            labels = [UNTRAINED, *(self.system if self.every else labels)]
        before = ""
        for number, (question, answer) in enumerate((*history, (self.row.prompt, ""))):
            asked = self.ids_of((self.data.source_prefix if number == 0 else "") + question)
            said = self.ids_of(answer)
            ends_one = self.every and (self.official or before != "")
            ids += [USER, *asked, ASSISTANT, *said]
            labels += [self.end if ends_one else UNTRAINED, *[UNTRAINED] * (len(asked) + 1)]
            labels += said if self.every else [UNTRAINED] * len(said)
            before = answer
        return ids, labels

    def newest(self, room: int) -> tuple[Prompt, list[int]]:
        """As many of the newest rounds as fit into ``room``, and their labels.

        A system message that leaves no room for the question loses its end.
        """
        bare = len(self.prompt(())[0]) - len(self.system)
        lost = max(len(self.system) + bare - max(room, bare), 0)
        self.system = self.system[: max(room - bare, 0)]
        history = self.row.history
        found = keep_newest(lambda rounds: self.prompt(rounds)[0], lambda _: 1, history, room)
        labels = self.prompt(history[len(history) - found.rounds :])[1]
        if found.question_lost:
            labels = [UNTRAINED] * len(found.ids)
        return Prompt(found.ids, found.lost + lost, found.question_lost), labels

    def as_chat(self, room: int) -> Prompt:
        """The prompt of the published ``chat`` within ``room``."""
        prefix = self.data.source_prefix
        *rounds, newest = (*self.row.history, (self.row.prompt, ""))
        messages = [{"role": "system", "content": self.row.system}] if self.row.system else []
        for question, answer in rounds:
            messages.append({"role": "user", "content": prefix + question})
            messages.append({"role": "assistant", "content": answer})
            prefix = ""
        messages.append({"role": "user", "content": prefix + newest[0]})
        ids = self.tokenizer.build_chat_input(
            messages,
            max_new_tokens=0,
            model_max_length=room,
            release=2,
            split_special_tokens=self.data.read_as == "plain",
        )
        marked = bool(self.system)  # in training, as a turn of the assistant
        lost = len(self.prompt(self.row.history)[0]) - marked - len(ids)
        return Prompt(ids, lost, question_lost=len(self.ids_of(prefix + newest[0])) + 2 > room)
