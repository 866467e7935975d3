"""The tokenizer of ChatGLM3-6B: ChatGLM2's vocabulary, and chats told by role tokens.

A message is ``<|role|>``, a line of metadata and the content, each encoded on its own; the closing
``<|assistant|>`` asks for an answer. Answers may call tools: see `process_response`.

Follows tokenization_chatglm.py and modeling_chatglm.py of THUDM/chatglm3-6b on transformers
4.30, and differs in one thing: tool calls are read as literals and never run.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from transformers import BatchEncoding

from .chatglm2 import ChatGLM2Tokenizer, CommandTokenizer

ROLES = ("system", "user", "assistant", "observation")
ROLE_TOKENS = tuple(f"<|{role}|>" for role in ROLES)
SPLIT_AT_ROLE_TOKENS = re.compile(f"({'|'.join(map(re.escape, ROLE_TOKENS))})")

LONGEST_CALL = 2**16
"""Characters of a tool call that is still read; parsing takes some 500 bytes for each."""

Message = dict[str, Any]
ReadCall = Callable[[str], dict[str, Any] | None]


class ChatGLM3Tokenizer(CommandTokenizer):
    """Text to ids as ChatGLM3-6B reads it; unlike ChatGLM2's, its commands are seen in decoding.

    ``encode_special_tokens=True`` reads role tokens out of the text. It is off by default, so that
    a user's words cannot pose as another role.
    """

    family = "chatglm3"
    commands = (*ChatGLM2Tokenizer.commands, *ROLE_TOKENS)

    def __init__(
        self, vocab_file: str | None, *, encode_special_tokens: bool = False, **kwargs: Any
    ) -> None:
        self.encode_special_tokens = encode_special_tokens
        super().__init__(vocab_file, encode_special_tokens=encode_special_tokens, **kwargs)
        self.command_names = {self.token_ids[token]: token for token in self.commands}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        if not self.encode_special_tokens:
            return super()._tokenize(text)
        tokens = []
        for part in SPLIT_AT_ROLE_TOKENS.split(text):
            tokens += [part] if part in ROLE_TOKENS else super()._tokenize(part)
        return tokens

    def _ids_of(self, text: str) -> list[int]:
        if not self.encode_special_tokens:
            return super()._ids_of(text)
        return [self.token_ids[token] for token in self._tokenize(text)]

    def _convert_id_to_token(self, index: int) -> str:
        if index < 0 or index >= self.vocab_size:
            return ""
        if index in self.command_names:
            return self.command_names[index]
        return "" if index in self.command_ids.values() else self.vocabulary.id_to_piece(index)

    # --- chat ---

    def build_single_message(self, role: str, metadata: str, message: str) -> list[int]:
        """The ids of one message, without what comes before and after it."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is none of the roles {', '.join(ROLES)}")
        head = self.vocabulary.encode_as_ids(f"{metadata}\n")
        return [self.get_command(f"<|{role}|>"), *head, *self.vocabulary.encode_as_ids(message)]

    def build_chat_input(
        self, query: str, history: Sequence[Message] | None = None, role: str = "user"
    ) -> BatchEncoding:
        """The input of a chat: the history, the query said by ``role``, and ``<|assistant|>``.

        A message of the history has "role" and "content", perhaps "metadata"; a system message
        may have "tools", which the model is shown as JSON. Gives tensors of one row [1, L].
        """
        ids = []
        for message in history or ():
            content = message["content"]
            if message["role"] == "system" and "tools" in message:
                content += "\n" + json.dumps(message["tools"], indent=4, ensure_ascii=False)
            ids += self.build_single_message(message["role"], message.get("metadata", ""), content)
        ids += self.build_single_message(role, "", query)
        ids.append(self.get_command("<|assistant|>"))
        return self([ids], return_tensors="pt")

    def process_response(
        self, text: str, history: Sequence[Message]
    ) -> tuple[str | dict[str, Any], list[Message]]:
        """See `process_response`."""
        return process_response(text, history)


def process_response(
    text: str, history: Sequence[Message], read_call: ReadCall | None = None
) -> tuple[str | dict[str, Any], list[Message]]:
    """The content of an answer, and the history with the answer's messages after it.

    The content is a text; or {"name", "parameters"} if the answer calls a tool and the history
    starts with a system message that offers tools; or {"name", "content"} for any other answer
    with metadata, such as code for the interpreter, and for a call that cannot be read.
    ``read_call`` gives the parameters of a call, by default `read_tool_call`.
    """
    read_call = read_call or read_tool_call
    history = deepcopy(list(history))
    offers_tools = bool(history) and history[0]["role"] == "system" and "tools" in history[0]
    content: str | dict[str, Any] = ""
    for message in text.split("<|assistant|>"):
        metadata, said = message.split("\n", maxsplit=1) if "\n" in message else ("", message)
        if name := metadata.strip():
            parameters = read_call(said) if offers_tools else None
            content = {"name": name, "content": said}
            if parameters is not None:
                content = {"name": name, "parameters": parameters}
        else:
            said = said.strip()
            content = said.replace("[[训练时间]]", "2023年")
        history.append({"role": "assistant", "metadata": metadata, "content": said})
    return content, history


def read_tool_call(fenced: str) -> dict[str, Any] | None:
    """The arguments of ``tool_call(name=value, ...)`` between the two lines of a code fence.

    The published code evaluates these words of the model; here the values must be literals, and
    numbers no longer than Python writes out. None if they are not, or if it is no such call.
    """
    if len(fenced) > LONGEST_CALL:
        return None
    try:
        call = ast.parse("\n".join(fenced.split("\n")[1:-1]), mode="eval").body
        match call:
            case ast.Call(func=ast.Name(id="tool_call"), args=[], keywords=keywords):
                named = {k.arg: ast.literal_eval(k.value) for k in keywords if k.arg is not None}
                repr(named)  # raises ValueError for a number of too many digits
                return named if len(named) == len(keywords) else None
            case _:
                return None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
