"""The tokenizer of Baichuan and Baichuan2, 7B and 13B.

A byte-fallback SentencePiece vocabulary (``tokenizer.model``): 64,000 pieces in the first release,
125,696 in the second. Among its user-defined pieces, which are found in a text before anything else
is cut, are line breaks, digits and punctuation, but also ``<SEP>``, ``<CLS>`` and the
``<reserved_N>``, two of which open the turns of a chat: ids 195 (user) and 196 (assistant). Nothing
stands in front of a text; an answer ends with ``</s>``.

Follows tokenization_baichuan.py, modeling_baichuan.py and generation_utils.py of baichuan-inc's
repositories on transformers 4.30, where the published code runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import AddedToken

from ..errors import refuse
from .pieces import PieceTokenizer
from .vocabulary import read_vocabulary, tokens_of

USER, ASSISTANT = 195, 196
FIRST_RELEASE_PIECES = 64_000
CONTROL = re.compile(r"<(?:reserved_[0-9]+|SEP|CLS)>")

Message = Mapping[str, str]


class BaichuanTokenizer(PieceTokenizer):
    """Text to ids as every Baichuan reads it.

    Where the published classes take a setting that tokenizer_config.json does not have to be on
    (``add_bos_token``) or missing (``pad_token``), the defaults here are what the published files
    say: no ``<s>`` in front, and ``<unk>`` as padding.
    """

    family = "baichuan"
    vocab_files_names = {"vocab_file": "tokenizer.model"}  # noqa: RUF012
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012
    own_tokens = ("<unk>", "<s>", "</s>")
    published_name = "BaichuanTokenizer"

    bos_token_id: int  # transformers looks this and the next one up by their tokens
    eos_token_id: int

    def __init__(
        self,
        vocab_file: str | None,
        *,
        unk_token: str | AddedToken = "<unk>",
        bos_token: str | AddedToken = "<s>",
        eos_token: str | AddedToken = "</s>",
        pad_token: str | AddedToken | None = "<unk>",
        sp_model_kwargs: dict[str, Any] | None = None,
        add_bos_token: bool = False,
        add_eos_token: bool = False,
        **kwargs: Any,
    ) -> None:
        # transformers gives None for a file that is not in the folder
        self.vocab_file = vocab_file or str(kwargs.get("name_or_path", ""))
        self.vocabulary = read_vocabulary(self.vocab_file, self.vocab_files_names["vocab_file"])
        self.token_ids = {piece: i for i, piece in enumerate(tokens_of(self.vocabulary))}
        self.control_ids = {i for piece, i in self.token_ids.items() if CONTROL.fullmatch(piece)}
        self._refuse_another()
        self.add_bos_token, self.add_eos_token = add_bos_token, add_eos_token
        super().__init__(
            unk_token=unk_token,
            bos_token=bos_token,
            eos_token=eos_token,
            pad_token=pad_token or "<unk>",
            sp_model_kwargs=sp_model_kwargs or {},
            add_bos_token=add_bos_token,
            add_eos_token=add_eos_token,
            clean_up_tokenization_spaces=kwargs.pop("clean_up_tokenization_spaces", False),
            **kwargs,
        )

    @classmethod
    def recognises(cls, find: Callable[[str], Path | None], config: Mapping[str, Any]) -> bool:
        """Whether a folder whose files name no tokenizer is a Baichuan."""
        return config.get("model_type") == "baichuan"

    def _refuse_another(self) -> None:
        """Raises UserError for the vocabulary of another family."""
        pieces = self.vocabulary
        roles = [pieces.id_to_piece(i) for i in (USER, ASSISTANT) if i < len(pieces)]
        ends = [self.token_ids.get(token) for token in self.own_tokens]
        if len(roles) == 2 and all(map(CONTROL.fullmatch, roles)) and ends == [0, 1, 2]:
            return
        raise refuse(
            what="tokenizer.model is not the vocabulary of a Baichuan",
            where=self.vocab_file,
            why=f"theirs begins with <unk>, <s>, </s> and has <reserved_N> at {USER} and "
            f"{ASSISTANT}, which open the turns of a chat; here are {', '.join(roles) or 'none'}",
            fix="take tokenizer.model from the published model",
        )

    @property
    def release(self) -> int:
        """1 for Baichuan, 2 for Baichuan2: their vocabularies differ in size."""
        return 1 if len(self.vocabulary) == FIRST_RELEASE_PIECES else 2

    # --- text to ids and back ---

    def _letters_of(self, text: str) -> list[int]:
        """The ids of a text in which the control pieces are letters, too.

        SentencePiece finds them whatever is asked for, so each is written with a piece that is
        taken out again after its first letter. ``<s>``, ``</s>`` and ``<unk>`` it never finds.
        """
        broken = CONTROL.sub(self._broken, text) if "<" in text else text
        ids = self.vocabulary.encode_as_ids(broken)
        return ids if broken is text else [i for i in ids if i not in self.control_ids]

    def _broken(self, found: re.Match[str]) -> str:
        piece = found[0]
        if piece not in self.token_ids:
            return piece
        return piece[0] + self.vocabulary.id_to_piece(USER) + piece[1:]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of the tokens; special ones by their names, with a blank where text goes
        before.
        """
        special, text, run = set(self.all_special_tokens), "", list[str]()
        after_special = False
        for place, token in enumerate(tokens):
            if token in special:
                blank = " " if place and not after_special else ""
                text += blank + self.vocabulary.decode_pieces(run) + token
                run = []
            else:
                run.append(token)
            after_special = token in special
        return text + self.vocabulary.decode_pieces(run)

    # --- what the model reads ---

    def _around(self, ids: list[int]) -> list[int]:
        start = [self.bos_token_id] if self.add_bos_token else []
        end = [self.eos_token_id] if self.add_eos_token else []
        return [*start, *ids, *end]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """A text, or one after the other, each in <s> and </s> as far as these are asked for."""
        both = (token_ids_0,) if token_ids_1 is None else (token_ids_0, token_ids_1)
        return [token for ids in both for token in self._around(ids)]

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for a token that `build_inputs_with_special_tokens` adds, 0 for one of the text."""
        if already_has_special_tokens:
            return super().get_special_tokens_mask(token_ids_0, token_ids_1, True)
        texts = [[-1] * len(ids) for ids in (token_ids_0, token_ids_1) if ids is not None]
        return [int(token != -1) for token in self.build_inputs_with_special_tokens(*texts)]

    def _published_settings(self) -> dict[str, Any]:
        """With what transformers leaves out, and the published code has on when it is not said."""
        asked = {"add_bos_token": self.add_bos_token, "add_eos_token": self.add_eos_token}
        return super()._published_settings() | asked

    # --- chat ---

    def build_chat_input(
        self,
        messages: Sequence[Message],
        *,
        max_new_tokens: int = 2048,
        model_max_length: int = 4096,
        user_token_id: int = USER,
        assistant_token_id: int = ASSISTANT,
        release: int | None = None,
        split_special_tokens: bool = False,
    ) -> list[int]:
        """The ids of a chat that an answer is asked for, as the published ``chat`` builds them.

        Baichuan2: the system text without a mark, then each message behind the id of its role, then
        ``assistant_token_id``. Whole rounds go from the left until ``model_max_length -
        max_new_tokens`` ids are left; where the newest round alone is longer, its beginning goes.
        The first release has no system text, ends past answers with ``</s>``, leaves the input half
        of ``model_max_length`` at least, and has the last id on top of all that.

        Args:
            messages: {"role": "user" | "assistant" | "system", "content": text}, the oldest first.
            release: 1 or 2; None takes the vocabulary's.
            split_special_tokens: read the names of control pieces in a text as letters.

        Raises:
            UserError: for another role; for a system text that is not the first message, or in a
                chat of the first release; and where there is no room for a prompt.
        """
        release = release or self.release
        refuse_roles(messages, release)
        room = model_max_length - max_new_tokens
        if release == 1:
            room = max(model_max_length // 2, room)
        refuse_no_room(room, max_new_tokens, model_max_length)

        def ids_of(message: Message) -> list[int]:
            ids = self.encode(message["content"], split_special_tokens=split_special_tokens)
            if message["role"] == "system":
                return ids
            if message["role"] == "user":
                return [user_token_id, *ids]
            return [assistant_token_id, *ids, *([self.eos_token_id] if release == 1 else [])]

        rounds = [[i for said in turns for i in ids_of(said)] for turns in rounds_of(messages)]
        opens = bool(messages) and messages[0]["role"] == "system"
        system = rounds.pop(0) if opens else []
        newest = newest_rounds(rounds, room - len(system))
        if release == 1:
            return [*last(newest, room), assistant_token_id]
        asked = [] if messages and messages[-1]["role"] == "assistant" else [assistant_token_id]
        return last([*system, *newest, *asked], room)


class BaiChuanTokenizer(BaichuanTokenizer):
    """The same tokenizer under the name that Baichuan-7B of the first release gives it."""

    published_name = "BaiChuanTokenizer"

    @classmethod
    def recognises(cls, find: Callable[[str], Path | None], config: Mapping[str, Any]) -> bool:
        """Never: where the files name none, the other name does as well."""
        return False


def last(ids: list[int], count: int) -> list[int]:
    """The last ``count`` ids."""
    return ids[max(len(ids) - count, 0) :]


def rounds_of(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The messages in groups that begin with a user's; a system text is a group of its own."""
    group: list[Message] = []
    for message in messages:
        if group and (message["role"] == "user" or group[-1]["role"] == "system"):
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def newest_rounds(rounds: Sequence[list[int]], room: int) -> list[int]:
    """The ids of the newest rounds that fit into ``room``; of the newest one in any case."""
    kept: list[int] = []
    for ids in reversed(rounds):
        if kept and len(kept) + len(ids) > room:
            break
        kept = ids + kept
    return kept


def refuse_no_room(room: int, max_new_tokens: int, model_max_length: int) -> None:
    """Raises UserError where an answer may be as long as the whole."""
    if room < 1:
        raise refuse(
            what=f"max_new_tokens is {max_new_tokens}, and prompt and answer may have "
            f"{model_max_length} tokens together",
            where="max_new_tokens",
            why="the prompt has what the answer leaves of model_max_length",
            fix=f"give max_new_tokens below {model_max_length}",
        )


def refuse_roles(messages: Sequence[Message], release: int) -> None:
    """Raises UserError for a role that a chat of this release does not have there."""
    for number, message in enumerate(messages, start=1):
        role = message["role"]
        if role in ("user", "assistant") or (role == "system" and number == 1 and release == 2):
            continue
        why = "a chat has user and assistant"
        why += ", and a system text only as its first message" if release == 2 else " only"
        raise refuse(
            what=f"message {number} of {len(messages)} is of the role {role!r}",
            where=f"messages[{number - 1}]",
            why=why,
            fix="give it one of these roles, or leave it out",
        )
