"""``ChatGLMTokenizer``: the one published name under which three families keep their tokenizers.

ChatGLM-6B, ChatGLM2-6B and ChatGLM3-6B all say ``"tokenizer_class": "ChatGLMTokenizer"``, and
AutoTokenizer finds a class by that name. The class here is what they share, and loading through
it gives the tokenizer of the family the folder holds. What decides, in this order:

1. ``family="chatglm"``, ``"chatglm2"`` or ``"chatglm3"``, given to ``from_pretrained`` or to the
   constructor.
2. The vocabulary file: ``ice_text.model`` is ChatGLM-6B; ``tokenizer.model`` is one of the other
   two, whose vocabularies are the same file.
3. ``"family"`` in tokenizer_config.json, which ``save_pretrained`` writes.
4. The role token ``<|assistant|>``, which only ChatGLM3 has: in tokenizer_config.json (added
   tokens, chat template) or in the folder's tokenization_chatglm.py, which is read as text and
   never run. That file without the role token means ChatGLM2.
5. ``chatglm2`` or ``chatglm3`` in ``name_or_path`` (tokenizer_config.json) or ``_name_or_path``
   (config.json).

If none of them tells, loading is refused: a ChatGLM3 model asked in ChatGLM2's words gives worse
answers and no error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from sentencepiece import SentencePieceProcessor
from transformers import AddedToken, BatchEncoding, PreTrainedTokenizer
from transformers.utils.generic import PaddingStrategy
from transformers.utils.hub import cached_file

from ..errors import refuse
from .vocabulary import missing_vocabulary, read_vocabulary

PUBLISHED_NAME = "ChatGLMTokenizer"
ROLE_TOKEN = "<|assistant|>"

# What transformers 5 keeps in tokenizer_config.json for itself, and where it looks for files.
BOOKKEEPING = ("backend", "is_local", "local_files_only", "model_specific_special_tokens")
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")

FindFile = Callable[[str], Path | None]


class ChatGLMTokenizer(PreTrainedTokenizer):
    """What the tokenizers of ChatGLM-6B, ChatGLM2-6B and ChatGLM3-6B share.

    A family's class numbers the tokens (`_number_tokens`; ``token_ids`` holds all but those that a
    user adds), and says how a text is cut (`_tokenize`, `_ids_of`) and which mask and positions
    belong to a sequence (`_add_mask_and_positions`).
    """

    family: ClassVar[str]
    families: ClassVar[dict[str, type[ChatGLMTokenizer]]] = {}

    model_input_names = ["input_ids", "attention_mask", "position_ids"]  # noqa: RUF012
    padding_side = "left"

    vocab_file: str
    vocabulary: SentencePieceProcessor
    token_ids: dict[str, int]
    own_tokens: tuple[str, ...] = ()  # special tokens that are found in a text

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
        return object.__new__(chosen)

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

    # --- text to ids and back ---

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without those that a user added."""
        return len(self.token_ids)

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id, with those that a user added."""
        return self.token_ids | self.get_added_vocab()

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """The tokens of a text."""
        return super().tokenize(text, **kwargs) if self._holds_added(text) else self._tokenize(text)

    def _holds_added(self, text: str) -> bool:
        return any(token in text for token in self.get_added_vocab())

    def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> BatchEncoding:
        """Encode as transformers does, with the way from text to ids in SentencePiece.

        transformers looks at each character for the start of an added token, and numbers tokens
        one by one. A text without added tokens is spared both: it is handed on as its ids (an
        empty list of ids would not be taken for one).
        """
        marked = kwargs.get("sanitize_control_tokens")  # text with marks that transformers removes
        if isinstance(text, str) and not marked and not self._holds_added(text):
            text = self._ids_of(text) or text
        return super()._encode_plus(text, *args, **kwargs)

    def encode(
        self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **kwargs: Any
    ) -> list[int]:
        """The ids of a text or a pair; see transformers for the options."""
        if kwargs or text_pair is not None or not isinstance(text, str) or self._holds_added(text):
            return super().encode(text, text_pair, add_special_tokens, **kwargs)
        ids = self._ids_of(text)
        if add_special_tokens:
            ids = self.build_inputs_with_special_tokens(ids)
        self._eventual_warn_about_too_long_sequence(ids, None, True)
        return ids

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many ids `build_inputs_with_special_tokens` adds: three families, one answer."""
        return 3 if pair else 2

    def _ids_of(self, text: str) -> list[int]:
        """The ids of a text without added tokens, straight from SentencePiece."""
        raise NotImplementedError

    def _convert_token_to_id(self, token: str) -> int:
        return self.token_ids.get(token, self.token_ids["<unk>"])

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of the tokens."""
        return self.vocabulary.decode_pieces(tokens)

    # --- padding ---

    def _pad(
        self,
        encoded_inputs: Any,
        max_length: int | None = None,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
    ) -> Any:
        """One sequence with its mask and positions, padded on the left.

        As published, the mask and the positions do not depend on ``return_attention_mask``.
        Raises UserError for padding on the right.
        """
        if (side := padding_side or self.padding_side) != "left":
            raise refuse(
                what=f"padding_side is {side!r}",
                where="padding_side, of the tokenizer or of this call",
                why="the ChatGLM families count positions from the first real token of a sequence "
                "padded on the left; their published tokenizers allow nothing else",
                fix="leave padding_side at 'left'; training rows are padded on the right by the "
                "data collator, without the tokenizer",
            )
        length = len(encoded_inputs["input_ids"])
        if padding_strategy == PaddingStrategy.LONGEST:
            max_length = length
        if max_length is not None and pad_to_multiple_of is not None:
            max_length = -(-max_length // pad_to_multiple_of) * pad_to_multiple_of
        self._add_mask_and_positions(encoded_inputs, max_length)
        missing = (max_length or 0) - length
        if padding_strategy != PaddingStrategy.DO_NOT_PAD and missing > 0:
            self._pad_left(encoded_inputs, missing)
        return encoded_inputs

    def _add_mask_and_positions(self, encoded_inputs: Any, max_length: int | None) -> None:
        """Add attention_mask and position_ids of the unpadded sequence where they are missing."""
        raise NotImplementedError

    def _pad_left(self, encoded_inputs: Any, missing: int) -> None:
        """Put ``missing`` pads in front of the ids and of what lies beside them, one per token."""
        for key, pad in (
            ("input_ids", self.pad_token_id),
            ("token_type_ids", self.pad_token_type_id),
            ("special_tokens_mask", 1),
        ):
            if key in encoded_inputs:
                encoded_inputs[key] = [pad] * missing + encoded_inputs[key]

    # --- saving ---

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary file under its published name; gives its path."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        target = Path(save_directory, prefix + self.vocab_files_names["vocab_file"])
        source = existing(Path(self.vocab_file))
        content = source.read_bytes() if source else self.vocabulary.serialized_model_proto()
        target.write_bytes(content)
        return (str(target),)

    def _save_pretrained(
        self,
        save_directory: str | PathLike[str],
        file_names: tuple[str, ...],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
    ) -> tuple[str, ...]:
        """Make the tokenizer_config.json just written one that the published code reads too."""
        config_file = Path(file_names[0])
        written = json.loads(config_file.read_text(encoding="utf-8"))
        added = written.pop("added_tokens_decoder", {})
        settings = {key: value for key, value in written.items() if key not in BOOKKEEPING}
        settings |= self._published_settings()
        added = {i: token for i, token in added.items() if token["content"] not in self.own_tokens}
        if added:
            settings["added_tokens_decoder"] = added
        content = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True)
        config_file.write_text(content + "\n", encoding="utf-8")
        return super()._save_pretrained(save_directory, file_names, legacy_format, filename_prefix)

    def _published_settings(self) -> dict[str, Any]:
        """What tokenizer_config.json must say beyond what transformers writes."""
        return {"tokenizer_class": PUBLISHED_NAME, "family": self.family}


def class_of(family: str | None, find: FindFile, where: str) -> type[ChatGLMTokenizer]:
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
