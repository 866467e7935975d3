"""One training step and greedy generation, beside transformers' Llama of the same sizes.

    python benchmarks/training.py

The peer is ``LlamaForCausalLM`` with PEFT's LoRA or prefix tuning; both sides take the same batch,
in turns, in one process. Figures are ratios of medians: below 1, foretune's model is faster.

torch 2.13.0+cpu, transformers 5.23.0, peft 0.21.2, two threads of a quiet 2-core machine:

                                             foretune       peer
    LoRA step                                 0.306 s    0.312 s   ratio 0.98
    prefix step                               0.313 s    0.304 s   ratio 1.03
    full step                                 0.494 s    0.484 s   ratio 1.02
    48 tokens                                 0.605 s    0.568 s   ratio 1.07
    48 tokens behind a prefix                 0.654 s    0.579 s   ratio 1.13
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from foretune.models.hf import native_model, published_config
from foretune.params.arch.chatglm2 import ChatGLM2

HIDDEN, LAYERS, HEADS, KV_HEADS, FFN, VOCABULARY = 512, 8, 8, 2, 1376, 8192
BATCH, LENGTH, PREFIX, ROUNDS, NEW_TOKENS = 4, 128, 32, 7, 48


def ours() -> torch.nn.Module:
    """A ChatGLM2 of these sizes, with random weights."""
    config = published_config(ChatGLM2)(
        hidden_size=HIDDEN, num_layers=LAYERS, num_attention_heads=HEADS,
        multi_query_group_num=KV_HEADS, multi_query_attention=True, kv_channels=HIDDEN // HEADS,
        ffn_hidden_size=FFN, padded_vocab_size=VOCABULARY, seq_length=1024, add_qkv_bias=True,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return native_model(ChatGLM2)(config).float()


def llama() -> torch.nn.Module:
    """The peer."""
    config = LlamaConfig(
        hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, intermediate_size=FFN, vocab_size=VOCABULARY,
        tie_word_embeddings=False, attention_bias=True, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(config).float()


def with_lora(model: torch.nn.Module, targets: list[str]) -> torch.nn.Module:
    return get_peft_model(model, LoraConfig(r=8, target_modules=targets, task_type="CAUSAL_LM"))


def with_our_prefix(model: torch.nn.Module) -> torch.nn.Module:
    model.requires_grad_(False)
    model.add_prefix(PREFIX)  # pyright: ignore[reportCallIssue]
    return model


def with_peft_prefix(model: torch.nn.Module) -> torch.nn.Module:
    return get_peft_model(
        model, PrefixTuningConfig(num_virtual_tokens=PREFIX, task_type="CAUSAL_LM")
    )


def step_of(model: torch.nn.Module) -> Callable[[], None]:
    """Forward, backward and optimizer, on one fixed batch."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    ids = torch.randint(3, VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[:, : LENGTH // 2] = -100
    model.train()

    def step() -> None:
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def generation_of(model: torch.nn.Module) -> Callable[[], None]:
    """Greedy generation of a fixed number of tokens for a batch."""
    ids = torch.randint(3, VOCABULARY, (BATCH, 32), generator=torch.Generator().manual_seed(2))
    model.eval()

    def generate() -> None:
        model.generate(  # pyright: ignore[reportCallIssue]
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
            max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS,
        )  # fmt: skip

    return generate


def compare(name: str, mine: Callable[[], None], peers: Callable[[], None]) -> None:
    """Prints both medians and their ratio; the sides take turns, after one round that is not
    counted.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for round_number in range(ROUNDS + 1):
        for side, run in zip(times, (mine, peers), strict=True):
            start = time.perf_counter()
            run()
            if round_number:
                side.append(time.perf_counter() - start)
    ours_s, peers_s = (statistics.median(side) for side in times)
    print(f"{name:38} {ours_s:8.3f} s {peers_s:8.3f} s   ratio {ours_s / peers_s:.2f}")


def main() -> None:
    print(f"{torch.__version__}, {torch.get_num_threads()} threads; {LAYERS} layers of {HIDDEN}")
    print(f"{'':38} {'foretune':>10} {'peer':>10}")
    compare("LoRA step", step_of(with_lora(ours(), ["query_key_value"])),
            step_of(with_lora(llama(), ["q_proj", "k_proj", "v_proj"])))  # fmt: skip
    compare("prefix step", step_of(with_our_prefix(ours())), step_of(with_peft_prefix(llama())))
    compare("full step", step_of(ours()), step_of(llama()))
    compare(f"{NEW_TOKENS} tokens", generation_of(ours()), generation_of(llama()))
    compare(f"{NEW_TOKENS} tokens behind a prefix", generation_of(with_our_prefix(ours())),
            generation_of(with_peft_prefix(llama())))  # fmt: skip


if __name__ == "__main__":
    main()
