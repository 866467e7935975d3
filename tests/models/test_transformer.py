"""The original Transformer: torch's own layers, the paper's numbers, and what is generated."""

from __future__ import annotations

import json
from math import ceil, floor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foretune.errors import UserError
from foretune.models.fresh import fresh_model
from foretune.models.loading import load_config, load_model
from foretune.models.transformer import (
    TransformerConfig,
    TransformerForConditionalGeneration,
    shifted_right,
    sinusoids,
)
from foretune.params.arch import family_of, read_architecture
from foretune.params.arch.transformer import Transformer

SMALL = {
    "model_type": "original-transformer", "vocab_size": 40, "d_model": 32, "num_layers": 2,
    "num_attention_heads": 4, "ffn_hidden_dim": 48, "max_seq_len": 64,
}  # fmt: skip
IGNORED = -100


def built(seed: int = 0, **changes: Any) -> TransformerForConditionalGeneration:
    """A model with random weights, biases and norms included."""
    torch.manual_seed(seed)
    model = TransformerForConditionalGeneration(TransformerConfig.from_dict({**SMALL, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def batch() -> dict[str, Tensor]:
    """Two sources of 5 and 3 tokens, and two targets of 4 and 2."""
    return {
        "input_ids": torch.tensor([[5, 6, 7, 8, 2], [9, 10, 2, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "labels": torch.tensor([[20, 21, 22, 2], [23, 2, IGNORED, IGNORED]]),
    }


# --- equal to torch's own layers


PARTS = {"self_attn": "self_attn", "cross_attn": "multihead_attn"}
NORMS = {
    "encoder": {"self_attn_norm": "norm1", "fc_norm": "norm2"},
    "decoder": {"self_attn_norm": "norm1", "cross_attn_norm": "norm2", "fc_norm": "norm3"},
}


class Twin(nn.Module):
    """torch.nn.Transformer's encoder and decoder with the weights of one of ours."""

    def __init__(self, ours: TransformerForConditionalGeneration) -> None:
        super().__init__()
        config = ours.config
        sizes = {
            "d_model": config.d_model, "nhead": config.num_attention_heads,
            "dim_feedforward": config.ffn_hidden_dim, "dropout": 0.0, "activation": "relu",
            "layer_norm_eps": config.norm_eps, "batch_first": True, "norm_first": False,
        }  # fmt: skip
        whole = nn.Transformer(
            num_encoder_layers=config.num_layers, num_decoder_layers=config.num_layers, **sizes
        )
        self.embedding = nn.Parameter(ours.encoder.embed_tokens.weight.detach().clone())
        self.stacks = nn.ModuleDict({"encoder": whole.encoder, "decoder": whole.decoder})
        for stack in (whole.encoder, whole.decoder):
            stack.norm = None  # behind the last layer torch has one more, the paper none
        for name, tensor in self.of(ours).items():
            dict(self.named_parameters())[name].data.copy_(tensor)

    def of(self, ours: nn.Module, *, gradients: bool = False) -> dict[str, Tensor]:
        """Weights (or gradients) of ours, by the names of this one."""
        found: dict[str, Tensor] = {}
        for name, parameter in ours.named_parameters():
            value = parameter.grad if gradients else parameter.detach()
            assert value is not None
            parts = name.split(".")
            if parts[1] == "embed_tokens":
                found["embedding"] = value
                continue
            where, rest = ".".join(["stacks", *parts[:3]]), parts[3:]
            if rest[0] in PARTS and rest[1] != "out_proj":
                key = f"{where}.{PARTS[rest[0]]}.in_proj_{rest[2]}"
                found[key] = torch.cat((found[key], value)) if key in found else value
                continue
            rest = [PARTS.get(rest[0], NORMS[parts[0]].get(rest[0], rest[0])), *rest[1:]]
            rest = [{"fc1": "linear1", "fc2": "linear2"}.get(part, part) for part in rest]
            found[f"{where}.{'.'.join(rest)}"] = value
        return found

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        def embedded(ids: Tensor) -> Tensor:
            width = self.embedding.shape[1]
            places = torch.arange(ids.shape[1])[None]
            return self.embedding[ids] * width**0.5 + sinusoids(places, width).to(self.embedding)

        target = shifted_right(labels, 1, 0)
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        hidden = attention_mask == 0
        read = self.stacks["encoder"](embedded(input_ids), src_key_padding_mask=hidden)
        written = self.stacks["decoder"](
            embedded(target), read, tgt_mask=causal < 0, memory_key_padding_mask=hidden
        )
        return written @ self.embedding.T


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_outputs_and_gradients_are_those_of_torchs_own_layers(attention: str):
    ours = built().double()
    ours.set_attn_implementation(attention)
    theirs = Twin(ours).double()
    inputs = batch()
    logits, expected = ours(**inputs).logits, theirs(**inputs)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    for model_logits in (logits, expected):
        F.cross_entropy(model_logits.flatten(0, 1), inputs["labels"].flatten()).backward()
    gradients = theirs.of(ours, gradients=True)
    wanted = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert gradients.keys() == wanted.keys() and len(gradients) == 61
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-5, atol=1e-7)


def test_positions_are_the_sines_and_cosines_of_the_paper():
    table = sinusoids(torch.arange(50)[None], 16)[0].double()
    for position in (0, 1, 7, 49):
        for i in range(8):
            angle = torch.tensor(position / 10000 ** (2 * i / 16), dtype=torch.float64)
            assert table[position, 2 * i].item() == pytest.approx(angle.sin().item(), abs=1e-5)
            assert table[position, 2 * i + 1].item() == pytest.approx(angle.cos().item(), abs=1e-5)


# --- its sizes


VARIANTS = [
    SMALL,
    {**SMALL, "tie_word_embeddings": False},
    {"model_type": "original-transformer", "vocab_size": 37_000},
]


@pytest.mark.parametrize("config", VARIANTS, ids=range(len(VARIANTS)))
def test_the_table_of_weights_is_the_built_model(config: dict[str, Any]):
    declared, unknown = read_architecture(config)
    assert isinstance(declared, Transformer) and not unknown
    with torch.device("meta"):
        model = TransformerForConditionalGeneration(TransformerConfig.from_dict(config))
    table = {
        name: weight.shape
        for weight in declared.shape.weights
        if not weight.tied
        for name in weight.names()
    }
    assert {name: tuple(one.shape) for name, one in model.named_parameters()} == table
    assert sum(one.numel() for one in model.parameters()) == declared.shape.num_parameters


def test_the_count_stands_beside_the_papers():
    base = Transformer(vocab_size=37_000)
    assert base.shape.num_parameters == 63_082_496
    assert Transformer().shape.num_parameters == 44_138_496
    (remark,) = base.remarks()
    assert "65,000,000" in remark.what and "about 41,000 rows" in remark.why
    assert "44,138,496" in remark.why and "63,082,496" in remark.why
    assert [remark.key for remark in Transformer().remarks()] == ["vocab_size", "d_model"]
    assert list(Transformer(vocab_size=37_000, d_model=256).remarks()) == []


TABLE_3 = [
    ({}, 65), ({"num_layers": 2}, 36), ({"num_layers": 4}, 50), ({"num_layers": 8}, 80),
    ({"d_model": 256}, 28), ({"d_model": 1024}, 168),
    ({"ffn_hidden_dim": 1024}, 53), ({"ffn_hidden_dim": 4096}, 90),
]  # fmt: skip
"""Changes of the base model and parameters in millions, arXiv:1706.03762 table 3."""


def rows_counted(change: dict[str, int], millions: int) -> tuple[float, float]:
    """The fewest and the most rows of the embedding that make so many millions."""
    model = Transformer(**change)
    rest = model.shape.num_parameters
    return tuple((1e6 * (millions + half) - rest) / model.d_model for half in (-0.5, 0.5))


def test_the_rows_of_the_papers_table_agree_on_an_embedding_of_41_000():
    fewest, most = zip(*(rows_counted(*row) for row in TABLE_3), strict=True)
    assert len(fewest) == 8
    assert (ceil(max(fewest)), floor(min(most))) == (40_932, 41_160)
    big = {"d_model": 1024, "ffn_hidden_dim": 4096, "num_attention_heads": 16}
    assert [round(rows) for rows in rows_counted(big, 213)] == [35_296, 36_272]


def test_the_keys_alone_name_the_family():
    keys = {"d_model": 512, "num_attention_heads": 8, "ffn_hidden_dim": 2048}
    assert family_of(keys) is Transformer
    assert family_of({**keys, "model_type": "marian"}) is None
    assert family_of({"d_model": 512, "num_heads": 8, "d_ff": 2048}) is None


def test_a_base_json_is_counted_without_its_vocabulary(shared: Path):
    declared, unknown = read_architecture(
        json.loads((shared / "inputs/transformer/base.json").read_text())
    )
    assert isinstance(declared, Transformer) and not unknown
    assert (declared.shape.vocab, declared.shape.num_parameters) == (None, 44_138_496)


def test_sizes_that_do_not_fit_together_are_refused():
    odd = {"d_model": 33, "num_attention_heads": 3}
    for change, why in (({"num_attention_heads": 5}, "not a multiple"), (odd, "is odd")):
        with pytest.raises(UserError, match=why):
            read_architecture({**SMALL, **change})


def test_a_model_without_a_vocabulary_is_refused_with_the_way_out(tmp_path: Path):
    config = {key: value for key, value in SMALL.items() if key != "vocab_size"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match='write "vocab_size"'):
        load_model(tmp_path)


# --- training


def test_the_loss_is_the_mean_over_trained_tokens_and_nothing_is_shifted():
    model, inputs = built(), batch()
    outputs = model(**inputs)
    targets = inputs["labels"].flatten()
    expected = F.cross_entropy(outputs.logits.flatten(0, 1), targets, ignore_index=IGNORED)
    torch.testing.assert_close(outputs.loss, expected)
    parts = [
        model(**{name: one[i : i + 1] for name, one in inputs.items()}, num_items_in_batch=6).loss
        for i in range(2)
    ]
    torch.testing.assert_close(sum(parts), expected)


def test_a_label_is_not_seen_before_it_is_written():
    model, inputs = built(), batch()
    before = model(**inputs).logits
    inputs["labels"] = inputs["labels"].clone()
    inputs["labels"][0, 2] = 30
    after = model(**inputs).logits
    torch.testing.assert_close(before[0, :3], after[0, :3])
    assert not torch.allclose(before[0, 3], after[0, 3])


def test_padding_on_either_side_changes_nothing():
    model, inputs = built(), batch()
    alone = model(input_ids=torch.tensor([[9, 10, 2]]), labels=torch.tensor([[23, 2]])).logits
    torch.testing.assert_close(model(**inputs).logits[1:, :2], alone)
    left = {name: inputs[name][1:].roll(2, dims=1) for name in ("input_ids", "attention_mask")}
    torch.testing.assert_close(model(**left, labels=torch.tensor([[23, 2]])).logits, alone)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_the_same_with_gradient_checkpointing(reentrant: bool):
    inputs, found = batch(), []
    for checkpointing in (False, True):
        model = built(dropout=0.0).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            model.enable_input_require_grads()
        model(**inputs).loss.backward()
        found.append({name: one.grad for name, one in model.named_parameters()})
    assert len(found[0]) == 85
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)


def test_a_fresh_model_is_drawn_by_the_seed_as_the_paper_starts():
    config = TransformerConfig.from_dict({**SMALL, "d_model": 128, "vocab_size": 2000})
    torch.manual_seed(3)
    model = fresh_model(config, dtype=torch.float32)
    torch.manual_seed(3)
    again = fresh_model(config, dtype=torch.float32)
    weights = model.state_dict()
    assert all(torch.equal(one, weights[name]) for name, one in again.state_dict().items())
    for name, one in model.named_parameters():
        if name.endswith("embed_tokens.weight"):
            assert one.std().item() == pytest.approx(128**-0.5, rel=0.02)
        elif one.dim() == 2:
            bound = (6 / sum(one.shape)) ** 0.5
            assert 0.97 * bound < one.abs().max().item() <= bound, name
        else:
            assert one.unique().tolist() == [1.0 if name.endswith("norm.weight") else 0.0], name


# --- generation


def score_of(model: Any, inputs: dict[str, Tensor], written: Tensor) -> Tensor:
    """Log-probability of what was written, </s> included, a row each."""
    labels = written[:, 1:].clone()
    labels[labels == 0] = IGNORED
    logits = model(**inputs, labels=labels).logits.log_softmax(-1)
    chosen = logits.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return chosen.masked_fill(labels == IGNORED, 0).sum(-1)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_what_is_generated_does_not_depend_on_the_cache_or_the_batch(num_beams: int):
    model, inputs = built(seed=4), batch()
    del inputs["labels"]
    ask = {"max_length": 9, "num_beams": num_beams, "do_sample": False}
    written = model.generate(**inputs, **ask)
    assert written[:, 0].tolist() == [1, 1]
    assert torch.equal(written, model.generate(**inputs, **ask, use_cache=False))
    alone = model.generate(input_ids=torch.tensor([[9, 10, 2]]), **ask)[0].tolist()
    assert written[1].tolist()[: len(alone)] == alone


def test_beam_search_finds_what_is_at_least_as_likely_as_greedy():
    better = 0
    for seed in range(4):
        model, inputs = built(seed=seed), batch()
        del inputs["labels"]
        ask = {"max_length": 8, "min_length": 8, "do_sample": False, "length_penalty": 0.0}
        greedy, beams = (model.generate(**inputs, **ask, num_beams=n) for n in (1, 8))
        gain = score_of(model, inputs, beams) - score_of(model, inputs, greedy)
        assert (gain > -1e-4).all()
        better += int((gain > 1e-4).sum())
    assert better >= 2


# --- files


def test_it_is_saved_and_loaded_byte_for_byte(tmp_path: Path):
    for tied in (True, False):
        folder, again = tmp_path / f"{tied}", tmp_path / f"{tied}-again"
        built(tie_word_embeddings=tied).save_pretrained(folder)
        assert isinstance(load_config(folder), TransformerConfig)
        load_model(folder).save_pretrained(again)
        name = "model.safetensors"
        assert (folder / name).read_bytes() == (again / name).read_bytes()
        assert load_model(folder)(**batch()).loss == load_model(again)(**batch()).loss
