"""``ChatGLMTokenizer``: the one published name under which several families keep their tokenizers.

ChatGLM-6B, ChatGLM2-6B and ChatGLM3-6B all say ``"tokenizer_class": "ChatGLMTokenizer"``, and
AutoTokenizer finds a class by that name. The class here is what they share, and loading through
it gives the tokenizer of the family the folder holds. What decides, in this order:

1. ``family="chatglm"``, ``"chatglm2"``, ``"chatglm3"`` or ``"glm4"``, given to ``from_pretrained``
   or to the constructor.
2. The vocabulary file: ``ice_text.model`` is ChatGLM-6B; ``tokenizer.model`` is one of the other
   two, whose vocabularies are the same file; one that is a list of tiktoken's ranks is GLM-4's.
3. ``"family"`` in tokenizer_config.json, which ``save_pretrained`` writes.
4. The role token ``<|assistant|>``, which only ChatGLM3 has: in tokenizer_config.json (added
   tokens, chat template) or in the folder's tokenization_chatglm.py, which is read as text and
   never run. That file without the role token means ChatGLM2.
5. ``chatglm2`` or ``chatglm3`` in ``name_or_path`` (tokenizer_config.json) or ``_name_or_path``
   (config.json).

If none of them tells, loading is refused: a ChatGLM3 model asked in ChatGLM2's words gives worse
answers and no error.

As published, some names of control tokens in a text become those tokens. With
``split_special_tokens=True``, transformers' name for it, a text is only text: whatever it names, no
id of it is a control token, and it decodes to what was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from transformers import AddedToken
from transformers.utils.hub import cached_file

from ..errors import refuse
from .layout import PublishedLayout
from .pieces import PieceTokenizer
from .tiktoken_ranks import holds_ranks
from .vocabulary import missing_vocabulary, read_vocabulary

PUBLISHED_NAME = "ChatGLMTokenizer"
ROLE_TOKEN = "<|assistant|>"

# Where transformers looks for files.
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")

FindFile = Callable[[str], Path | None]


class ChatGLMTokenizer(PublishedLayout, PieceTokenizer):
    """What the tokenizers of ChatGLM-6B, ChatGLM2-6B and ChatGLM3-6B share.

    A family's class numbers the tokens (`_number_tokens`; ``token_ids`` holds all but those that a
    user adds), and says how a text is cut (`_tokenize`, `_ids_of`, `_letters_of`) and which mask
    and positions belong to a sequence (`_add_mask_and_positions`).
    """

    family: ClassVar[str]
    families: ClassVar[dict[str, type[Any]]] = {}

    published_name = PUBLISHED_NAME

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "family" in vars(cls):
            ChatGLMTokenizer.families[cls.family] = cls

    # --- which family ---

    def __new__(cls, vocab_file: str | None = None, *_: Any, family: str | None = None, **__: Any):
        if cls is not ChatGLMTokenizer:
            return object.__new__(cls)
        folder = Path(vocab_file or ".").parent
        chosen = class_of(family, lambda name: existing(folder / name), str(folder))
        if not issubclass(chosen, ChatGLMTokenizer):
            return chosen(vocab_file, *_, **__)
        return object.__new__(chosen)

    @classmethod
    def recognises(cls, find: FindFile, config: Mapping[str, Any]) -> bool:
        """Whether a folder that names no tokenizer is of one of these families."""
        return config.get("model_type") == "chatglm" or find("ice_text.model") is not None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike[str],
        *inputs: Any,
        family: str | None = None,
        **kwargs: Any,
    ) -> ChatGLMTokenizer:
        """The tokenizer of a folder or a hub repository, as transformers loads it.

        ``family`` says which one it is when the files do not. Raises UserError when neither does,
        and when the vocabulary file is missing or not this family's.
        """
        name = str(pretrained_model_name_or_path)
        if cls is not ChatGLMTokenizer:
            return super().from_pretrained(name, *inputs, **kwargs)
        options = {key: kwargs[key] for key in HUB_OPTIONS if key in kwargs}
        chosen = class_of(family, lambda file: published_file(name, file, options), name)
        return chosen.from_pretrained(name, *inputs, **kwargs)

    # --- what a family starts from ---

    def __init__(self, vocab_file: str | None, **kwargs: Any) -> None:
        # transformers gives None for a file that is not in the folder
        self.vocab_file = vocab_file or kwargs.get("name_or_path", "")
        self.vocabulary = read_vocabulary(self.vocab_file, self.vocab_files_names["vocab_file"])
        self.token_ids = self._number_tokens()
        own = {self.token_ids[token]: eats_space(token) for token in self.own_tokens}
        super().__init__(
            added_tokens_decoder=own | kwargs.pop("added_tokens_decoder", {}), **kwargs
        )

    def _number_tokens(self) -> dict[str, int]:
        """Every token of the family and its id; raises UserError for another's vocabulary."""
        raise NotImplementedError

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many ids `build_inputs_with_special_tokens` adds: three families, one answer."""
        return 3 if pair else 2


def class_of(family: str | None, find: FindFile, where: str) -> type[Any]:
    """The class of the family that was asked for, or that the files are; raises UserError."""
    family = family or family_of(find, where)
    if family not in ChatGLMTokenizer.families:
        raise refuse(
            what=f"there is no ChatGLM tokenizer for the family {family!r}",
            where=where,
            why=f"the families are {', '.join(sorted(ChatGLMTokenizer.families))}",
            fix="give family= one of these names, or leave it out",
        )
    return ChatGLMTokenizer.families[family]


def family_of(find: FindFile, where: str) -> str:
    """Which family the files are, decided as this module's docstring says; raises UserError."""
    older, newer = find("ice_text.model"), find("tokenizer.model")
    if older and newer:
        raise refuse(
            what="there are two vocabulary files, ice_text.model and tokenizer.model",
            where=where,
            why="the first belongs to ChatGLM-6B, the second to ChatGLM2-6B or ChatGLM3-6B",
            fix="remove the one that is not this model's",
        )
    if older:
        return "chatglm"
    if newer is None:
        raise missing_vocabulary("ice_text.model or tokenizer.model", where)
    if holds_ranks(newer):
        return "glm4"
    settings_file, code_file = find("tokenizer_config.json"), find("tokenization_chatglm.py")
    settings = read_settings(settings_file)
    if "family" in settings:
        return str(settings["family"])
    texts = [path.read_bytes() for path in (settings_file, code_file) if path]
    if any(ROLE_TOKEN.encode() in text for text in texts):
        return "chatglm3"
    if code_file:
        return "chatglm2"
    config = read_settings(find("config.json"))
    for name in (settings.get("name_or_path"), config.get("_name_or_path")):
        for family in ("chatglm2", "chatglm3"):
            if family in str(name).lower():
                return family
    raise refuse(
        what="tokenizer.model may be ChatGLM2's or ChatGLM3's, and no file says which",
        where=where,
        why="both have the same vocabulary, but build their chats in different ways",
        fix='write "family": "chatglm2" or "chatglm3" in tokenizer_config.json, or give family=',
    )


def eats_space(token: str) -> AddedToken:
    """A special token that takes the space around it, as all did before transformers 4.34."""
    return AddedToken(token, lstrip=True, rstrip=True, normalized=False, special=True)


def existing(path: Path) -> Path | None:
    """The path, if there is a file."""
    return path if path.is_file() else None


def published_file(name: str, file: str, options: dict[str, Any]) -> Path | None:
    """The local path of a file of a folder or hub repository; None if it has no such file."""
    found = cached_file(name, file, _raise_exceptions_for_missing_entries=False, **options)
    return Path(found) if found else None


def read_settings(path: Path | None) -> dict[str, Any]:
    """A JSON file of settings; empty if there is none. Raises UserError if it is not one."""
    if path is None:
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise refuse(
            what=f"{path.name} cannot be read as JSON",
            where=f"{path}:{getattr(error, 'lineno', 1)}",
            why=str(error),
            fix="mend the file, or take it from the published model again",
        ) from error
    if not isinstance(settings, dict):
        raise refuse(
            what=f"{path.name} holds a {type(settings).__name__}, not an object",
            where=f"{path}:1",
            why="settings are read by their names",
            fix="take the file from the published model again",
        )
    return settings
