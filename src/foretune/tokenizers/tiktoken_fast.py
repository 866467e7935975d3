"""A tiktoken tokenizer as one that transformers loads by itself (``tokenizer.json``).

tiktoken merges any two neighbours whose bytes together are a token, the lowest rank first. The
tokenizers library takes the merges as a list of pairs; every way to cut a token into two tokens is
one of them. Both give the same ids for what is text; they differ in half surrogates, and in runs
that a family encodes in parts because tiktoken fails on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from transformers import PreTrainedTokenizerFast

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from .tiktoken_ranks import TiktokenTokenizer


def as_fast(tokenizer: TiktokenTokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer on the tokenizers library: same ids, special tokens and chat template.

    A token is then a string in which a letter stands for each byte, as in GPT-2.
    """
    letters = dict(enumerate(byte_letters()))
    vocabulary = {
        token.decode("latin-1").translate(letters): rank for token, rank in tokenizer.ranks.items()
    }
    fast = Tokenizer(models.BPE(vocabulary, list(pairs(vocabulary)), ignore_merges=True))
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(tokenizer.pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    fast.decoder = decoders.ByteLevel()
    added = [token for _, token in sorted(tokenizer.added_tokens_decoder.items())]
    fast.add_special_tokens([token for token in added if token.special])
    fast.add_tokens([token for token in added if not token.special])
    fast.post_processor = opening(tokenizer)
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        padding_side=tokenizer.padding_side,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        chat_template=tokenizer.chat_template,
        split_special_tokens=tokenizer.split_special_tokens,
        clean_up_tokenization_spaces=False,
    )


def opening(tokenizer: TiktokenTokenizer) -> processors.PostProcessor:
    """What puts the special tokens in front of a text, and of the second text of a pair."""
    front = tokenizer.convert_ids_to_tokens(tokenizer.build_inputs_with_special_tokens([]))
    return processors.TemplateProcessing(
        single=[*front, "$A"],
        pair=[*front, "$A", *(f"{token}:1" for token in front), "$B:1"],
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in front],
    )


def pairs(ranks: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Every two tokens that are a token together, the lowest rank of the whole first; then by the
    ranks of the two. ``ranks`` are in their order.
    """
    for token in ranks:
        halves = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [pair for pair in halves if pair[0] in ranks and pair[1] in ranks]
        yield from sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def byte_letters() -> list[str]:
    """The letter of each byte: itself where it can be seen, else the next one from U+0100 on."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in seen else next(hidden)) for byte in range(256)]
