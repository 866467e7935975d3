"""Baichuan: what sets the four models apart, and what each of their parts does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from foretune.errors import UserError
from foretune.models.baichuan import NormHead, alibi_mask, alibi_slopes, folded_head
from foretune.models.loading import load_model
from foretune.tokenizers import load_tokenizer
from foretune.tune import prefix
from small_models import small_model
from tiny_baichuan import ALIBI, FIRST, ROTARY
from tiny_chatglm import Build, prompt_ids

GREEDY = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}


@pytest.fixture(params=["sdpa", "eager"])
def attention(request: pytest.FixtureRequest) -> str:
    return request.param


def as_llama(model: Any) -> LlamaForCausalLM:
    """The same weights in transformers' Llama, whose head is plain and whose projections are
    three.
    """
    config = model.config
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            rms_norm_eps=config.rms_norm_eps,
        )
    )
    tensors = dict(model.state_dict())
    for layer in range(config.num_hidden_layers):
        attention = f"model.layers.{layer}.self_attn"
        parts = tensors.pop(f"{attention}.W_pack.weight").chunk(3)
        tensors |= {f"{attention}.{n}_proj.weight": p for n, p in zip("qkv", parts, strict=True)}
    if config.has_norm_head:
        tensors["lm_head.weight"] = folded_head(tensors["lm_head.weight"])
    llama.load_state_dict(tensors)
    return llama.eval()


# --- positions ---


@pytest.mark.parametrize("changes", [{}, FIRST], ids=["Baichuan2-7B", "Baichuan-7B"])
def test_a_7b_is_a_llama_with_its_projections_packed_and_its_head_folded(
    build: Build, changes: dict[str, Any]
):
    model, ids = build(ROTARY, **changes), prompt_ids(ROTARY, 9, 9)
    assert isinstance(model.lm_head, NormHead) == (not changes)
    torch.testing.assert_close(model(ids).logits, as_llama(model)(ids).logits, atol=1e-5, rtol=0)


def test_the_slopes_are_those_of_the_paper():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(4).tolist() == [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8]
    expected = [2.0 ** (-8 * i / 32) for i in range(1, 33)]
    expected += [2.0 ** (-8 * i / 64) for i in range(1, 16, 2)]
    torch.testing.assert_close(alibi_slopes(40), torch.tensor(expected))


def test_a_key_costs_its_distance_and_a_prefix_nothing():
    visible = torch.ones(1, 1, 3, 5, dtype=torch.bool).tril(2)
    mask = alibi_mask(visible, heads=2, past=2, prefix=3, dtype=torch.float32)[0, 1]
    hidden = torch.finfo(torch.float32).min
    slope = 2.0**-8
    assert mask[:, :3].eq(0).all()
    assert mask[0, 3:].tolist() == [-2 * slope, -slope, 0, hidden, hidden]
    assert mask[2, 3:].tolist() == [-4 * slope, -3 * slope, -2 * slope, -slope, 0]


@pytest.mark.parametrize(
    ("dtype", "most"), [(torch.bfloat16, 0.02), (torch.float16, 0.003), (torch.float32, 5e-6)]
)
def test_the_bias_stays_exact_in_half_precision_at_the_end_of_a_long_text(
    dtype: torch.dtype, most: float
):
    heads, keys, last = 40, 4096, 4
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(1, heads, n, 16, generator=generator).to(dtype) for n in (last, keys, keys)
    )
    visible = torch.ones(1, 1, last, keys, dtype=torch.bool).tril(keys - last)
    masks = [
        alibi_mask(visible, heads, past=keys - last, prefix=0, dtype=kind)
        for kind in (dtype, torch.float64)
    ]
    got = F.scaled_dot_product_attention(q, k, v, attn_mask=masks[0])
    want = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=masks[1])
    assert (got - want).abs().max() < most


def test_one_bias_serves_all_layers_and_all_rows(build: Build):
    model, ids = build(ALIBI), prompt_ids(ALIBI, 7, 7)
    seen: list[Tensor] = []
    for layer in model.model.layers:
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[3]))
    model(ids, attention_mask=torch.ones_like(ids))
    assert len(seen) == 3 and len({mask.data_ptr() for mask in seen}) == 1
    assert seen[0].shape == (1, 6, 9, 9)
    assert seen[0].stride(-2) % 8 == 0  # or attention on a GPU would copy it, layer by layer
    assert seen[0].dtype == torch.float32
    model.to(torch.bfloat16)(ids)
    assert seen[-1].dtype == torch.bfloat16


def test_padding_gives_numbers_on_both_sides(build: Build, attention: str):
    for config in (ROTARY, ALIBI):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            model, ids = build(config).to(dtype), prompt_ids(config, 9)
            model.set_attn_implementation(attention)
            alone = model(ids).logits[0]
            for side in ("left", "right"):
                pads = (4, 0) if side == "left" else (0, 4)
                mask = F.pad(torch.ones_like(ids), pads)
                positions = (mask.cumsum(-1) - 1).clamp(min=0)
                padded = model(F.pad(ids, pads), attention_mask=mask, position_ids=positions)
                assert padded.logits.isfinite().all()
                real = padded.logits[0][mask[0].bool()]
                off = (real - alone).abs().max() / alone.abs().max()
                assert off < (1e-5 if dtype == torch.float32 else 0.03)


def test_packed_texts_do_not_see_each_other(build: Build):
    for config in (ROTARY, ALIBI):
        model = build(config)
        texts = prompt_ids(config, 6), prompt_ids(config, 4)
        positions = torch.cat([torch.arange(text.shape[1]) for text in texts])[None]
        packed = model(torch.cat(texts, 1), position_ids=positions, use_cache=False).logits
        apart = torch.cat([model(text).logits for text in texts], dim=1)
        torch.testing.assert_close(packed, apart, atol=1e-5, rtol=0)


def test_a_cache_may_be_filled_in_pieces(build: Build, attention: str):
    for config in (ROTARY, ALIBI):
        model, ids = build(config, pre_seq_len=3), prompt_ids(config, 12)
        model.set_attn_implementation(attention)
        cache = DynamicCache(config=model.config)
        parts = [
            model(ids[:, a:b], past_key_values=cache, use_cache=True).logits
            for a, b in ((0, 5), (5, 9), (9, 10), (10, 14))
        ]
        torch.testing.assert_close(torch.cat(parts, 1), model(ids).logits, atol=1e-5, rtol=0)


# --- the normalised head ---


def test_a_frozen_head_gives_what_a_trained_one_gives(build: Build):
    model, ids = build(ALIBI), prompt_ids(ALIBI, 9)
    results = []
    for trained in (True, False):
        model.lm_head.requires_grad_(trained)
        model.zero_grad()
        out = model(ids, labels=ids)
        out.loss.backward()
        results.append((out.logits.detach(), model.model.norm.weight.grad.clone()))
    assert model.lm_head.lengths is not None
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-4)


def test_the_lengths_are_taken_once_for_a_whole_generation(build: Build):
    model = build(ALIBI)
    kept: list[Any] = []
    model.lm_head.register_forward_hook(lambda head, *_: kept.append(head.lengths[1]))
    model.generate(prompt_ids(ALIBI, 6), **GREEDY)
    assert len(kept) == 8 and all(lengths is kept[0] for lengths in kept)


@torch.no_grad()
def test_the_lengths_follow_the_weights(build: Build):
    head, x = build(ALIBI).lm_head, torch.randn(3, 48)
    stored = head.weight.clone()
    expected = F.linear(x, folded_head(stored))

    def check(why: str) -> None:
        torch.testing.assert_close(head(x.to(head.weight.dtype)).float(), expected, msg=why)

    check("as loaded")
    assert torch.equal(head.weight, stored) and list(head.state_dict()) == ["weight"]
    head.weight.mul_(2)
    check("written to")
    head.weight = torch.nn.Parameter(head.weight * 3)
    check("another one")
    head.weight.data.mul_(5)  # past torch's count of changes
    head.eval()
    check("written to behind, as an optimizer may")
    head.load_state_dict({"weight": stored * 7})
    check("loaded")
    assert head.double()(x.double()).dtype == torch.float64


def test_lengths_taken_while_inferring_do_not_stand_in_the_way_of_a_gradient(build: Build):
    model, ids = build(ALIBI), prompt_ids(ALIBI, 6)
    model.lm_head.requires_grad_(False)
    with torch.inference_mode():
        seen = model(ids).logits
    out = model(ids, labels=ids)
    out.loss.backward()
    torch.testing.assert_close(out.logits, seen.clone())


def test_a_resized_vocabulary_keeps_its_normalised_head(build: Build, tmp_path: Path):
    model, ids = build(ALIBI), prompt_ids(ALIBI, 6)
    before = model(ids).logits
    model.resize_token_embeddings(100, mean_resizing=False)
    torch.testing.assert_close(model(ids).logits[..., :96], before, atol=1e-5, rtol=0)
    model.config.tokenizer_class = None  # by which a small vocabulary is else known
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    assert isinstance(again.lm_head, NormHead) and again.lm_head.weight.shape == (100, 48)


def test_the_z_loss_counts_every_position_and_adds_up_over_micro_batches(build: Build):
    model, plain = build(ROTARY, z_loss_weight=0.1), build(ROTARY)
    ids = prompt_ids(ROTARY, 9, 9)
    labels = ids.clone()
    labels[0, :8] = -100
    labels[1, :3] = -100
    out = model(ids, labels=labels)
    largest = out.logits[:, :-1].amax(-1)
    expected = plain(ids, labels=labels).loss + 0.1 * largest.square().mean()
    torch.testing.assert_close(out.loss, expected)
    items = (labels[:, 1:] != -100).sum(1)
    parts = [
        model(ids[i : i + 1], labels=labels[i : i + 1], num_items_in_batch=items.sum()).loss
        for i in range(2)
    ]
    share = items / items.sum()
    expected = plain(ids, labels=labels).loss + 0.1 * (share @ largest.square().mean(1))
    torch.testing.assert_close(sum(parts), expected)
    first = [build(ROTARY, norm_head=False, z_loss_weight=weight) for weight in (0.1, None)]
    with_key, without = (model(ids, labels=labels).loss for model in first)
    assert torch.equal(with_key, without)  # Baichuan does not read it


# --- files ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("config", [ROTARY | FIRST, ALIBI | FIRST, ROTARY, ALIBI], ids=range(4))
def test_published_files_are_written_back_as_they_were(
    build: Build, tmp_path: Path, config: dict[str, Any], dtype: torch.dtype
):
    tensors = {key: t.to(dtype).clone() for key, t in build(config).state_dict().items()}
    buffer = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    folder = tmp_path / "published"
    folder.mkdir()
    save_file(tensors | buffer, folder / "model.safetensors", metadata={"format": "pt"})
    said = {**config, "torch_dtype": str(dtype).removeprefix("torch."), "by_others": [1]}
    said["gradient_checkpointing"] = [False]
    said = {key: value for key, value in said.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(said))
    model = load_model(folder)
    model(prompt_ids(config, 6))  # the published code changes its head here
    model.save_pretrained(tmp_path / "again")
    written = load_file(tmp_path / "again" / "model.safetensors")
    assert written.keys() == tensors.keys() and len(tensors) == 3 + 7 * 3
    for key, tensor in tensors.items():
        assert written[key].dtype == dtype
        assert torch.equal(written[key].view(torch.uint8), tensor.view(torch.uint8)), key
    saved = json.loads((tmp_path / "again" / "config.json").read_text())
    first_7b = config["tokenizer_class"] is None and "max_position_embeddings" in config
    said["architectures"] = ["BaiChuanForCausalLM" if first_7b else "BaichuanForCausalLM"]
    assert {key: saved[key] for key in said} == said
    assert None not in saved.values()


def test_the_stored_list_turns_no_checkpointing_on(build: Build):
    model = build(ALIBI, gradient_checkpointing=[False])
    assert not model.model.gradient_checkpointing
    assert model.config.gradient_checkpointing == [False]


# --- chat ---


@pytest.fixture(scope="module", params=["baichuan", "baichuan2", "baichuan2_7b"])
def chatting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any]:
    folder = small_model(tmp_path_factory.mktemp(request.param), request.param, spread=24)
    return load_model(folder, dtype=torch.float32), load_tokenizer(folder)


def test_a_chat_is_asked_as_published_and_sampled_as_the_folder_says(
    chatting: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
):
    model, tokenizer = chatting
    given: dict[str, Any] = {}

    def generate(**kwargs: Any) -> Tensor:
        given.update(kwargs)
        return kwargs["inputs"]

    monkeypatch.setattr(model, "generate", generate)
    messages = [
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "a</s>"},
    ]
    assert model.chat(tokenizer, messages) == ""
    ids = given["inputs"][0].tolist()
    end = [] if model.config.has_norm_head else [2]
    plain = tokenizer.encode("a</s>", split_special_tokens=True)
    assert ids == [
        *(195, *tokenizer.encode("你好")), *(196, *tokenizer.encode("hi"), *end),
        *(195, *plain), 196,
    ]  # fmt: skip
    settings = given["generation_config"]
    assert (settings.temperature, settings.top_k, settings.top_p) == (0.3, 5, 0.85)
    assert (settings.repetition_penalty, settings.max_new_tokens) == (1.05, 2048)
    model.chat(tokenizer, messages, protocol="published", top_k=9)
    assert given["inputs"][0].tolist().count(2) == len(end) + 1
    assert given["generation_config"].top_k == 9 and model.generation_config.top_k == 5


def test_a_streamed_answer_grows_to_the_whole_one(chatting: tuple[Any, Any]):
    model, tokenizer = chatting
    messages = [{"role": "user", "content": "你好"}]
    torch.manual_seed(0)
    whole = model.chat(tokenizer, messages, max_new_tokens=6)
    torch.manual_seed(0)
    parts = list(model.stream_chat(tokenizer, messages, max_new_tokens=6))
    assert parts[-1] == whole and 1 <= len(parts) <= 6
    assert model.chat(tokenizer, messages, max_new_tokens=1, do_sample=False) is not None


def test_another_role_is_refused(chatting: tuple[Any, Any]):
    model, tokenizer = chatting
    with pytest.raises(UserError, match="role"):
        model.chat(tokenizer, [{"role": "tool", "content": "x"}])


# --- tuning ---


def test_a_tuned_prefix_is_stored_under_the_models_own_name(build: Build, tmp_path: Path):
    model, ids = build(ALIBI), prompt_ids(ALIBI, 6)
    model.add_prefix(5)
    model.model.prefix_encoder.embedding.weight.data.normal_()
    prefix.save(model, tmp_path)
    (key,) = load_file(tmp_path / "prefix_encoder.safetensors")
    assert key == "model.prefix_encoder.embedding.weight"
    again = build(ALIBI)
    again.add_prefix(5)
    assert not torch.equal(again(ids).logits, model(ids).logits)
    prefix.load(again, tmp_path)
    assert torch.equal(again(ids).logits, model(ids).logits)


def test_adapters_on_the_packed_projection_merge_into_it(build: Build):
    model, ids = build(ALIBI), prompt_ids(ALIBI, 6)
    targets = list(model.config.shape.default_lora_targets)
    tuned: Any = get_peft_model(model, LoraConfig(target_modules=targets, r=2))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    assert len(tuned.targeted_module_names) == 3
    expected = tuned(ids).logits
    merged = tuned.merge_and_unload()
    torch.testing.assert_close(merged(ids).logits, expected, atol=1e-5, rtol=0)
