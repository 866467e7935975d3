"""The tokenizer of ChatGLM-6B.

A unigram SentencePiece vocabulary (``ice_text.model``) in which newlines, tabs and runs of blanks
have pieces of their own. A prompt is closed by ``[gMASK] <sop>``, the answer follows and ends with
``<eop>``; the model reads the prompt in both directions, which the square attention mask and the
two rows of positions say.

Follows tokenization_chatglm.py and modeling_chatglm.py of THUDM/chatglm-6b on transformers
4.27 to 4.33, where the published code runs. It differs in one thing: the letters ``<n>`` are not a
newline when ids are decoded; only the piece of that name is. No published encoding has them.

L: length of a sequence in tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import BatchEncoding

from ..errors import refuse
from .published import ChatGLMTokenizer
from .vocabulary import tokens_of

NEWLINE = "<n>"
TAB = "<|tab|>"
LONGEST_BLANK = 80

BLANKS = re.compile(f" {{2,{LONGEST_BLANK}}}")
BLANK_TOKENS = {f"<|blank_{n}|>": " " * n for n in range(2, LONGEST_BLANK + 1)}

WRITTEN = {NEWLINE: "\n", TAB: "\t", **BLANK_TOKENS}

# SentencePiece normalises a text (a full-width "<", too) before it looks for the names of pieces.
UNNAMED = ("[sMASK]", "<unused_0>", "<ENC>", "<dBLOCK>")  # control pieces that no setting names
OPENINGS = {"<": "<\uff1c\ufe64", "[": r"\[" "\uff3b\ufe47"}  # as in a set of a pattern
AFTER_OPENING = re.compile(f"(?<=[{''.join(OPENINGS.values())}])")

FULL_WIDTH = str.maketrans(",!:;?", "，！：；？")
PUNCTUATION_BY_CHINESE = re.compile("(?<=[\u4e00-\u9fff])[,!:;?]|[,!:;?](?=[\u4e00-\u9fff])")


class ChatGLM1Tokenizer(ChatGLMTokenizer):
    """Text to ids as ChatGLM-6B was trained on them; see the module for what is particular.

    Ids below ``num_image_tokens`` are images, which no text gives. The published file says 0; the
    first release had 20000, which is still what the published code takes if no file says it.
    """

    family = "chatglm"
    vocab_files_names = {"vocab_file": "ice_text.model"}  # noqa: RUF012

    bos_token_id: int  # transformers looks this and the next one up by their tokens
    eos_token_id: int

    def __init__(
        self,
        vocab_file: str | None,
        *,
        num_image_tokens: int = 20000,
        do_lower_case: bool = False,
        remove_space: bool = False,
        bos_token: str = "<sop>",
        eos_token: str = "<eop>",
        unk_token: str = "<unk>",
        pad_token: str = "<pad>",
        mask_token: str = "[MASK]",
        gmask_token: str = "[gMASK]",
        end_token: str = "</s>",
        **kwargs: Any,
    ) -> None:
        # transformers 5 takes the names it does not know out of tokenizer_config.json.
        named = dict(kwargs.pop("model_specific_special_tokens", None) or {})
        self.gmask_token = str(named.pop("gmask_token", gmask_token))
        self.end_token = str(named.pop("end_token", end_token))
        self.num_image_tokens = num_image_tokens
        self.do_lower_case = do_lower_case
        self.remove_space = remove_space
        self.own_tokens = tuple(map(str, (bos_token, eos_token, unk_token, pad_token, mask_token)))
        super().__init__(
            vocab_file,
            num_image_tokens=num_image_tokens,
            do_lower_case=do_lower_case,
            remove_space=remove_space,
            bos_token=bos_token,
            eos_token=eos_token,
            unk_token=unk_token,
            pad_token=pad_token,
            mask_token=mask_token,
            model_specific_special_tokens=named,
            # Unset by the published code, and on by default in the transformers it ran on.
            clean_up_tokenization_spaces=kwargs.pop("clean_up_tokenization_spaces", True),
            **kwargs,
        )

    def _number_tokens(self) -> dict[str, int]:
        """Every token and its id, images first; raises UserError for another's vocabulary."""
        images = [f"<image_{i}>" for i in range(self.num_image_tokens)]
        token_ids = {token: i for i, token in enumerate(images + tokens_of(self.vocabulary))}
        needed = (*self.own_tokens, self.gmask_token, self.end_token, NEWLINE, TAB, *BLANK_TOKENS)
        if missing := [token for token in needed if token not in token_ids]:
            raise refuse(
                what=f"ice_text.model lacks {len(missing)} of the tokens ChatGLM-6B needs, "
                f"such as {missing[0]}",
                where=self.vocab_file,
                why="it is another model's vocabulary, or the one of ChatGLM-6B's first release, "
                "to which code added these tokens at every start",
                fix="take ice_text.model and tokenizer_config.json from the current revision of "
                "THUDM/chatglm-6b",
            )
        self._find_names_read((*needed, *UNNAMED))
        return token_ids

    def _find_names_read(self, names: Sequence[str]) -> None:
        """Those of the names that SentencePiece reads as the pieces themselves: blanks, newline."""
        found = [name for name in names if name in self.vocabulary.encode_as_pieces(name)]
        self.names_read = re.compile("|".join(map(re.escape, found)) or "(?!)")
        # How a name may begin in a text as written, behind its opening with a letter of its own or
        # with what only normalisation tells. Looking for that costs little; normalising, as much
        # as encoding.
        starts = {f"[{OPENINGS[name[0]]}](?:[^!-~]|{re.escape(name[1])})" for name in found}
        self.may_name = re.compile("|".join(sorted(starts)) or "(?!)")

    @property
    def gmask_token_id(self) -> int:
        """The id of ``[gMASK]``, which stands between a prompt and the start of its answer."""
        return self.token_ids[self.gmask_token]

    @property
    def end_token_id(self) -> int:
        """The id of ``</s>``, the end of a context; an answer ends with ``eos_token_id``."""
        return self.token_ids[self.end_token]

    # --- text to ids and back ---

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return self.vocabulary.encode_as_pieces(name_blanks(self._clean(text)))

    def _ids_of(self, text: str) -> list[int]:
        return self._behind_images(self.vocabulary.encode_as_ids(name_blanks(self._clean(text))))

    def _letters_of(self, text: str) -> list[int]:
        text, encode = self._clean(text), self.vocabulary.encode_as_ids
        if not self._names_a_piece(text):
            return self._behind_images(encode(name_blanks(text)))
        # Cut behind each "<" and "[", no part holds a whole name. A part that is no start of a text
        # must not be read as one: it stands behind a newline, which is dropped again.
        first, *parts = AFTER_OPENING.split(text)
        ids, newline = encode(name_blanks(first)), self.vocabulary.piece_to_id(NEWLINE)
        for part in parts:
            read = encode(NEWLINE + name_blanks(part))
            ids += read[read.index(newline) + 1 :]
        return self._behind_images(ids)

    def _names_a_piece(self, text: str) -> bool:
        return bool(
            self.may_name.search(text) and self.names_read.search(self.vocabulary.normalize(text))
        )

    def _behind_images(self, ids: list[int]) -> list[int]:
        return [i + self.num_image_tokens for i in ids] if self.num_image_tokens else ids

    def _clean(self, text: str) -> str:
        if self.remove_space:
            text = " ".join(text.split())
        return text.lower() if self.do_lower_case else text

    def _convert_id_to_token(self, index: int) -> str:
        if index < self.num_image_tokens:  # as published, -100 too is an image
            return f"<image_{index}>"
        return self.vocabulary.id_to_piece(index - self.num_image_tokens)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of the tokens, with newlines, tabs and blanks as they were."""
        return super().convert_tokens_to_string([WRITTEN.get(token, token) for token in tokens])

    def _decode(self, token_ids: int | list[int], *args: Any, **kwargs: Any) -> str:
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        return super()._decode([i for i in ids if i != self.pad_token_id], *args, **kwargs)

    # --- what the model reads ---

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The prompt, ``[gMASK] <sop>``, and for a pair the answer and ``<eop>``."""
        prompt = [*token_ids_0, self.gmask_token_id, self.bos_token_id]
        return prompt if token_ids_1 is None else [*prompt, *token_ids_1, self.eos_token_id]

    def pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> BatchEncoding:
        """Sequences padded to one length, as transformers does it.

        transformers stacks a list of square masks as they are; in a tuple it hands them to
        `_pad` like all other inputs.
        """
        if isinstance(encoded_inputs, Sequence):
            keys = encoded_inputs[0] if encoded_inputs else ()
            encoded_inputs = {key: [row[key] for row in encoded_inputs] for key in keys}
        if isinstance(encoded_inputs.get("attention_mask"), list):
            masks = tuple(encoded_inputs["attention_mask"])
            encoded_inputs = {**encoded_inputs, "attention_mask": masks}
        return super().pad(encoded_inputs, *args, **kwargs)

    def _add_mask_and_positions(self, encoded_inputs: Any, max_length: int | None) -> None:
        if max_length is None:  # as published, a call without padding or cutting gives only ids
            return
        ids = encoded_inputs["input_ids"]
        context = ids.index(self.bos_token_id) if self.bos_token_id in ids else len(ids)
        if "attention_mask" not in encoded_inputs:
            encoded_inputs["attention_mask"] = hidden_from(len(ids), context)
        if "position_ids" not in encoded_inputs:
            masks = (self.mask_token_id, self.gmask_token_id)
            masked = next((ids.index(mask) for mask in masks if mask in ids), None)
            encoded_inputs["position_ids"] = positions(len(ids), context, masked)

    def _pad_mask_and_positions(self, encoded_inputs: Any, missing: int) -> None:
        if "attention_mask" in encoded_inputs:
            encoded_inputs["attention_mask"] = np.pad(
                encoded_inputs["attention_mask"],
                [(0, 0), (missing, 0), (missing, 0)],
                constant_values=True,
            )
        if "position_ids" in encoded_inputs:
            encoded_inputs["position_ids"] = np.pad(
                encoded_inputs["position_ids"], [(0, 0), (missing, 0)]
            )

    def _published_settings(self) -> dict[str, Any]:
        named = {"gmask_token": self.gmask_token, "end_token": self.end_token}
        return super()._published_settings() | named

    # --- chat ---

    def build_prompt(self, query: str, history: Sequence[tuple[str, str]] | None = None) -> str:
        """The prompt of a chat: the bare query, or after earlier turns all of them by number."""
        if not history:
            return query
        turns = "".join(f"[Round {i}]\n问：{q}\n答：{a}\n" for i, (q, a) in enumerate(history))
        return f"{turns}[Round {len(history)}]\n问：{query}\n答："

    def process_response(self, text: str) -> str:
        """See `process_response`."""
        return process_response(text)


def name_blanks(text: str) -> str:
    """The text with white space in the pieces that it has in the vocabulary."""
    text = text.replace("\n", NEWLINE).replace("\t", TAB)
    return BLANKS.sub(lambda run: f"<|blank_{len(run[0])}|>", text) if "  " in text else text


def hidden_from(length: int, context: int) -> np.ndarray:
    """What each row may not see, bool [1, L, L]: all rows see the context, the rest is causal."""
    hidden = ~np.tri(length, dtype=bool)
    hidden[:, :context] = False
    return hidden[None]


def positions(length: int, context: int, masked: int | None) -> np.ndarray:
    """Two rows of positions, int64 [2, L].

    Row 0 counts the context and stays at ``masked``, the place of the mask token, afterwards (it
    goes on counting if there is none). Row 1 is 0 in the context and counts from 1 afterwards.
    """
    in_text = np.arange(length)
    if masked is not None:
        in_text[context:] = masked
    in_answer = np.maximum(np.arange(length) - context + 1, 0)
    return np.stack([in_text, in_answer])


def process_response(text: str) -> str:
    """An answer as it is shown.

    Blanks around it go, the placeholder for the training date becomes a year, and ASCII
    punctuation beside a Chinese character becomes full-width.
    """
    text = text.strip().replace("[[训练时间]]", "2023年")
    return PUNCTUATION_BY_CHINESE.sub(lambda mark: mark[0].translate(FULL_WIDTH), text)
