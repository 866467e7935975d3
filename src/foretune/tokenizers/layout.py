"""Files that a tokenizer's published code reads, too; and what the tokenizers of ChatGLM-6B,
ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B have in common: padding on the left, with positions.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from transformers.utils.generic import PaddingStrategy

from ..errors import refuse

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizer as Tokenizer
else:
    Tokenizer = object

# What transformers 5 keeps in tokenizer_config.json for itself.
BOOKKEEPING = ("backend", "is_local", "local_files_only", "model_specific_special_tokens")


class PublishedFiles(Tokenizer):
    """Saves files that published code reads, too. Goes in front of a class of transformers."""

    family: ClassVar[str]
    published_name: ClassVar[str]
    """What tokenizer_config.json calls the class."""

    own_tokens: tuple[str, ...] = ()
    """The special tokens that are found in a text."""

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
        if (extra := settings.pop("extra_special_tokens", None)) is not None:
            settings["additional_special_tokens"] = extra  # what transformers 4 calls them
        settings |= self._published_settings()
        added = {i: token for i, token in added.items() if token["content"] not in self.own_tokens}
        if added:
            settings["added_tokens_decoder"] = settings.get("added_tokens_decoder", {}) | added
        content = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True)
        config_file.write_text(content + "\n", encoding="utf-8")
        return super()._save_pretrained(save_directory, file_names, legacy_format, filename_prefix)

    def _published_settings(self) -> dict[str, Any]:
        """What tokenizer_config.json must say beyond what transformers writes."""
        return {"tokenizer_class": self.published_name, "family": self.family}


class PublishedLayout(PublishedFiles):
    """Pads on the left, with positions. Goes in front of a class of transformers."""

    model_input_names = ["input_ids", "attention_mask", "position_ids"]  # noqa: RUF012
    padding_side = "left"

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
        length = len(encoded_inputs["input_ids"])
        encoded_inputs.setdefault("attention_mask", [1] * length)
        encoded_inputs.setdefault("position_ids", list(range(length)))

    def _pad_left(self, encoded_inputs: Any, missing: int) -> None:
        """Put ``missing`` pads in front of the ids and of what lies beside them."""
        for key, pad in (
            ("input_ids", self.pad_token_id),
            ("token_type_ids", self.pad_token_type_id),
            ("special_tokens_mask", 1),
        ):
            if key in encoded_inputs:
                encoded_inputs[key] = [pad] * missing + encoded_inputs[key]
        self._pad_mask_and_positions(encoded_inputs, missing)

    def _pad_mask_and_positions(self, encoded_inputs: Any, missing: int) -> None:
        for key in ("attention_mask", "position_ids"):
            encoded_inputs[key] = [0] * missing + encoded_inputs[key]
