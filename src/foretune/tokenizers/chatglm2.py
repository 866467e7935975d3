"""The tokenizer of ChatGLM2-6B, and what ChatGLM3-6B shares with it.

A byte-fallback SentencePiece vocabulary (``tokenizer.model``) without special tokens: these are
*commands*, numbered after its pieces and never read out of a text. Every input starts with
``[gMASK] sop``; an answer ends with ``</s>``.

Follows tokenization_chatglm.py and modeling_chatglm.py of THUDM/chatglm2-6b on transformers
4.27 to 4.33, where the published code runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from transformers import PreTrainedTokenizer

from ..errors import Problem, UserError, refuse
from .published import ChatGLMTokenizer
from .vocabulary import tokens_of

# The three special tokens that stand in the vocabulary file. They are read-only: the published
# classes have them as properties, and no setting changes them.
FIXED_TOKENS = {"unk_token": "<unk>", "pad_token": "<unk>", "eos_token": "</s>"}


class CommandTokenizer(ChatGLMTokenizer):
    """Text to ids in ChatGLM2's vocabulary; a family names its ``commands`` in their order."""

    commands: ClassVar[tuple[str, ...]]
    vocab_files_names = {"vocab_file": "tokenizer.model"}  # noqa: RUF012
    SPECIAL_TOKENS_ATTRIBUTES = [  # noqa: RUF012
        name for name in PreTrainedTokenizer.SPECIAL_TOKENS_ATTRIBUTES if name not in FIXED_TOKENS
    ]

    unk_token = property(lambda self: "<unk>")
    unk_token_id = property(lambda self: None, doc="None, as published; `<unk>` itself is id 0.")
    pad_token = property(lambda self: "<unk>")
    pad_token_id = property(lambda self: self.get_command("<pad>"))
    eos_token = property(lambda self: "</s>")
    eos_token_id = property(lambda self: self.get_command("<eos>"))

    def __init__(self, vocab_file: str | None, **kwargs: Any) -> None:
        # transformers 5 takes the names it does not know out of tokenizer_config.json.
        kwargs |= kwargs.pop("model_specific_special_tokens", None) or {}
        given = {name: kwargs.pop(name, None) for name in FIXED_TOKENS}
        refuse_other_tokens(given, where=str(kwargs.get("name_or_path") or vocab_file))
        super().__init__(vocab_file, **kwargs)

    def _number_tokens(self) -> dict[str, int]:
        pieces = tokens_of(self.vocabulary)
        commands = {token: len(pieces) + i for i, token in enumerate(self.commands)}
        fixed = {
            "<pad>": self.vocabulary.unk_id(),
            "<bos>": self.vocabulary.bos_id(),
            "<eos>": self.vocabulary.eos_id(),
        }
        if min(fixed.values()) < 0 or not commands.keys().isdisjoint(pieces):
            raise refuse(
                what="tokenizer.model is not the vocabulary of ChatGLM2 and ChatGLM3",
                where=self.vocab_file,
                why="theirs has <unk>, <s> and </s>, and none of the tokens that are numbered "
                f"after it, such as {self.commands[1]}",
                fix="take tokenizer.model from the published model",
            )
        self.command_ids = fixed | commands
        return {token: i for i, token in enumerate(pieces)} | commands

    # --- text to ids and back ---

    def _letters_of(self, text: str) -> list[int]:
        return self.vocabulary.encode_as_ids(text)  # which finds no control piece in a text

    def get_command(self, token: str) -> int:
        """The id of a special token: one of ``commands``, or ``<bos>``, ``<eos>``, ``<pad>``."""
        if token not in self.command_ids:
            raise ValueError(f"{token} is none of {', '.join(self.command_ids)}")
        return self.command_ids[token]

    # --- what the model reads ---

    def get_prefix_tokens(self) -> list[int]:
        """The ids that every input starts with: ``[gMASK] sop``."""
        return [self.get_command("[gMASK]"), self.get_command("sop")]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``[gMASK] sop`` and the prompt; for a pair the answer and ``</s>`` after them."""
        prompt = [*self.get_prefix_tokens(), *token_ids_0]
        return prompt if token_ids_1 is None else [*prompt, *token_ids_1, self.eos_token_id]


class ChatGLM2Tokenizer(CommandTokenizer):
    """The tokenizer of ChatGLM2-6B: its commands read as nothing, its chats are numbered rounds."""

    family = "chatglm2"
    commands = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")

    def _convert_id_to_token(self, index: int) -> str:
        if index < 0 or index in self.command_ids.values():
            return ""
        return self.vocabulary.id_to_piece(index)

    def build_prompt(self, query: str, history: Sequence[tuple[str, str]] | None = None) -> str:
        """The prompt of a chat: every turn by its number, counted from 1."""
        history = history or []
        turns = "".join(
            f"[Round {i}]\n\n问：{q}\n\n答：{a}\n\n" for i, (q, a) in enumerate(history, start=1)
        )
        return f"{turns}[Round {len(history) + 1}]\n\n问：{query}\n\n答："

    def process_response(self, text: str) -> str:
        """See `process_response`."""
        return process_response(text)


def process_response(text: str) -> str:
    """An answer as it is shown: no blanks around it, a year for the training-date placeholder."""
    return text.strip().replace("[[训练时间]]", "2023年")


def refuse_other_tokens(given: dict[str, Any], where: str) -> None:
    """Raise UserError for each of the fixed tokens that is given as another one."""
    problems = [
        Problem(
            what=f"{name} is set to {token!s}",
            where=where,
            why=f"it is {FIXED_TOKENS[name]} in the vocabulary of ChatGLM2 and ChatGLM3, and the "
            "models were trained with it",
            fix=f"remove {name} from tokenizer_config.json or from the call",
        )
        for name, token in given.items()
        if token is not None and str(token) != FIXED_TOKENS[name]
    ]
    if problems:
        raise UserError(problems)
