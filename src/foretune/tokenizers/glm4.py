"""The tokenizer of GLM-4-9B: tiktoken's vocabulary (``tokenizer.model``) and 14 special tokens that
are numbered after it.

Every input starts with ``[gMASK]<sop>``. A message is ``<|role|>``, a line of metadata and the
content; the closing ``<|assistant|>`` asks for an answer, which ends with ``<|endoftext|>`` or with
the role that speaks next. An answer whose first line is the name of a tool calls it, with
arguments in JSON: see `process_response`.

Follows tokenization_chatglm.py and modeling_chatglm.py of THUDM/glm-4-9b-chat in their releases of
June 2024 (``build_chat_input``, then an ``apply_chat_template`` of its own) and the chat_template
of tokenizer_config.json that replaced both. It differs in one thing: the second text of a pair ends
with ``<|endoftext|>``; the published code asks for a token that does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import BatchEncoding

from .chatglm3 import ROLES, Message, process_response
from .layout import PublishedLayout
from .published import ChatGLMTokenizer, FindFile
from .tiktoken_ranks import TiktokenTokenizer, holds_ranks

END = "<|endoftext|>"

# What a system message with tools starts with, and what it says of each kind of tool: the words the
# model was trained with, as in the chat_template of THUDM/glm-4-9b-chat.
OFFER = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)
OF_A_FUNCTION = "\n在调用上述函数时，请使用 Json 格式表示调用的参数。"
BUILT_IN = {
    "python": (
        "当你向 `python` 发送包含 Python 代码的消息时，该代码将会在一个有状态的 Jupyter notebook "
        "环境中执行。\n`python` 返回代码执行的输出，或在执行 60 秒后返回超时。\n`/mnt/data` 将会"
        "持久化存储你的文件。在此会话中，`python` 无法访问互联网。不要使用 `python` 进行任何网络"
        "请求或者在线 API 调用，这些在线内容的访问将不会成功。"
    ),
    "simple_browser": (
        "你可以使用 `simple_browser` 工具。该工具支持以下函数：\n"
        "`search(query: str, recency_days: int)`：使用搜索引擎进行查询并显示结果，可以使用 "
        "`recency_days` 参数控制搜索内容的时效性。\n"
        "`mclick(ids: list[int])`：获取一系列指定 id 的页面内容。每次调用时，须选择3-10个页面。"
        "选择多个角度的页面，同时尽可能选择可信任的信息来源。考虑到部分页面是无法加载的，"
        "你也可以多打开一些可能有用的页面而不用担心内容过多。\n"
        "`open_url(url: str)`：打开指定的 URL。\n\n使用 `【{引用 id}†{引用文本}】` 来引用内容。\n\n"
        "操作步骤：1. 使用 `search` 来获得信息列表; 2. 使用 `mclick` 来获取指定 ID 页面的内容; "
        "3. 根据获得的内容进行回复。在回复中应当引用信息来源。\n 如果用户提供了 URL，也可以用 "
        "`open_url` 直接打开页面。\n如果初次搜索结果没有找到合适的信息，也可以再次使用 `search` "
        "进行搜索。"
    ),
    "cogview": (
        "如果用户的请求中包含了对图像的描述，你可以使用 `cogview` 来生成图像并展示给用户。"
        "你需要向 `cogview` 发送图像描述，规则：\n- 发送给 `cogview` 的消息必须使用英语。"
        "用户的中文描述必须完全翻译为英语。\n- 应当尽可能详细地描述图像生成的需求，需求描述约 "
        "100 英文单词。\n- 保持用户原始描述的意图。不要虚构内容或者没见过的人物。\n"
        "- 如无特殊说明，所在地为中国，持有中国立场并遵循中国社会主义价值观。"
    ),
}


class ChatGLM4Tokenizer(PublishedLayout, TiktokenTokenizer):
    """Text to ids as GLM-4-9B reads it.

    As published, the names of special tokens in a text are those tokens; with
    ``split_special_tokens=True`` they stay letters. In the messages of a chat they always do,
    except where the folder has a chat_template and `apply_chat_template` uses it.
    """

    family = "glm4"
    published_name = "ChatGLM4Tokenizer"
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    own_tokens = (
        END, "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>",
        *(f"<|{role}|>" for role in ROLES),
        "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
    )  # fmt: skip

    def __init__(self, vocab_file: str | None, **kwargs: Any) -> None:
        ends = {"eos_token": END, "pad_token": END}
        kwargs.pop("family", None)
        super().__init__(vocab_file, **ends | kwargs)

    @classmethod
    def recognises(cls, find: FindFile, config: Mapping[str, Any]) -> bool:
        """Whether a folder that names no tokenizer is of GLM-4: a ChatGLM model with ranks."""
        vocabulary = find("tokenizer.model")
        return (
            config.get("model_type") == "chatglm"
            and vocabulary is not None
            and holds_ranks(vocabulary)
        )

    def get_command(self, token: str) -> int:
        """The id of a special token."""
        if token not in self.own_ids:
            raise ValueError(f"{token} is none of {', '.join(self.own_ids)}")
        return self.own_ids[token]

    # --- what the model reads ---

    def get_prefix_tokens(self) -> list[int]:
        """The ids that every input starts with: ``[gMASK]<sop>``."""
        return [self.get_command("[gMASK]"), self.get_command("<sop>")]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``[gMASK]<sop>`` and the text; for a pair the second and ``<|endoftext|>`` after it."""
        prompt = [*self.get_prefix_tokens(), *token_ids_0]
        return prompt if token_ids_1 is None else [*prompt, *token_ids_1, self.get_command(END)]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many ids `build_inputs_with_special_tokens` adds."""
        return 3 if pair else 2

    def _published_settings(self) -> dict[str, Any]:
        own = {str(i): self.added_tokens_decoder[i].__getstate__() for i in self.own_ids.values()}
        return super()._published_settings() | {"added_tokens_decoder": own}

    # --- chat ---

    def build_single_message(self, role: str, metadata: str, message: str) -> list[int]:
        """The ids of one message, without what comes before and after it."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is none of the roles {', '.join(ROLES)}")
        parts = (f"{metadata}\n", message)
        texts = [self.encode(p, add_special_tokens=False, split_special_tokens=True) for p in parts]
        return [self.get_command(f"<|{role}|>"), *texts[0], *texts[1]]

    def build_chat_input(
        self, query: str, history: Sequence[Message] | None = None, role: str = "user"
    ) -> BatchEncoding:
        """The input of a chat: the history, the query said by ``role``, and ``<|assistant|>``.

        A message of the history has "role" and "content", perhaps "metadata"; a system message
        may have "tools" (see `told_tools`), which are told after its content, or after the
        published words where it has none. Gives tensors of one row [1, L].
        """
        ids = []
        for message in history or ():
            content = message["content"]
            if message["role"] == "system" and "tools" in message:
                content = (content or OFFER) + told_tools(message["tools"])
            ids += self.build_single_message(message["role"], message.get("metadata", ""), content)
        ids += self.build_single_message(role, "", query)
        ids.append(self.get_command("<|assistant|>"))
        return self([ids], return_tensors="pt")

    def apply_chat_template(self, conversation: Any, *args: Any, **kwargs: Any) -> Any:
        """The ids of a conversation, or of several, with transformers' options.

        Where tokenizer_config.json has a chat_template, or the call brings one, transformers
        renders it, and the names of special tokens in a message become those tokens. Otherwise
        each message is encoded by itself, as the published code did before there was a template:
        a text is only text. ``add_special_tokens`` (that is, ``[gMASK]<sop>``) belongs to this
        second way.
        """
        if args or kwargs.get("chat_template") or self.chat_template:
            return super().apply_chat_template(conversation, *args, **kwargs)
        return self._apply_no_template(conversation, **kwargs)

    def _apply_no_template(
        self,
        conversation: Any,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        add_special_tokens: bool = True,
        tokenize: bool = True,
        return_dict: bool = True,
        **options: Any,
    ) -> Any:
        several = bool(conversation) and not isinstance(conversation[0], Mapping)
        offered = [{"role": "system", "content": "", "tools": tools}] if tools else []
        chats = [
            [one for told in (*offered, *messages) for one in spoken(told)]
            for messages in (conversation if several else [conversation])
        ]
        if not tokenize:
            opening, closing = "[gMASK]<sop>" * add_special_tokens, "<|assistant|>"
            texts = [
                opening
                + "".join(f"<|{role}|>{metadata}\n{said}" for role, metadata, said in messages)
                + closing * add_generation_prompt
                for messages in chats
            ]
            return texts if several else texts[0]
        opening = self.get_prefix_tokens() if add_special_tokens else []
        closing = [self.get_command("<|assistant|>")] if add_generation_prompt else []
        rows: Any = [
            [*opening, *(i for one in messages for i in self.build_single_message(*one)), *closing]
            for messages in chats
        ]
        whole = several or "return_tensors" in options
        encoded = self(rows if whole else rows[0], add_special_tokens=False, **options)
        return encoded if return_dict else encoded["input_ids"]

    def process_response(
        self, text: str, history: Sequence[Message]
    ) -> tuple[str | dict[str, Any], list[Message]]:
        """See `chatglm3.process_response`; a call's arguments are read as JSON."""
        return process_response(text, history, read_call=read_arguments)


ChatGLMTokenizer.families[ChatGLM4Tokenizer.family] = ChatGLM4Tokenizer


def spoken(message: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Role, metadata and text of what a message becomes: one of its tools, and one of its content
    (none where it is empty)."""
    told = []
    if tools := message.get("tools"):
        told.append(("system", "", OFFER + told_tools(tools)))
    if content := message.get("content"):
        told.append((message["role"], message.get("metadata") or "", content))
    return told


def told_tools(tools: Sequence[Mapping[str, Any]]) -> str:
    """How a system message tells the tools it offers.

    A tool is {"type": "function", "function": {"name", ...}}, or only what is under "function", or
    {"type": one of `BUILT_IN`}. Raises ValueError for another type.
    """
    told = ""
    for tool in tools:
        kind = tool.get("type", "function")
        if kind in BUILT_IN:
            told += f"\n\n## {kind}\n\n{BUILT_IN[kind]}"
        elif "function" in tool or "name" in tool:
            function = tool.get("function", tool)
            described = json.dumps(function, ensure_ascii=False, indent=4)
            told += f"\n\n## {function['name']}\n\n{described}{OF_A_FUNCTION}"
        else:
            raise ValueError(f"a tool of type {kind!r} is neither a function nor {list(BUILT_IN)}")
    return told


def read_arguments(said: str) -> dict[str, Any] | None:
    """The arguments of a call, which the answer gives as a JSON object; None if it is not one."""
    try:
        arguments = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None
