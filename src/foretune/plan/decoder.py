"""The shape of a decoder of which only the dimensions are known."""

from __future__ import annotations

from ..params.arch.shape import Shape, Weight, linear, norm


def decoder_shape(
    *,
    hidden: int,
    layers: int,
    heads: int,
    ffn: int,
    vocab: int,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    gated: bool = True,
    tied: bool = False,
    bias: bool = False,
    positions: int = 0,
    experts: int = 0,
    experts_used: int = 0,
) -> Shape:
    """A decoder-only model in the names of Llama: embedding, blocks, last norm, output layer.

    ``positions`` are the rows of a trained table of positions, 0 where there is none; ``bias``
    puts one at every linear and norm. ``experts`` are feed-forward blocks of which a router gives
    each token ``experts_used``.
    """
    kv_heads, head_dim = kv_heads or heads, head_dim or hidden // heads
    into = ("gate_proj", "up_proj") if gated else ("up_proj",)
    block: dict[str, tuple[int, int]] = {
        "self_attn.q_proj": (hidden, heads * head_dim),
        "self_attn.k_proj": (hidden, kv_heads * head_dim),
        "self_attn.v_proj": (hidden, kv_heads * head_dim),
        "self_attn.o_proj": (heads * head_dim, hidden),
        **{f"mlp.{name}": (hidden, ffn) for name in into},
        "mlp.down_proj": (ffn, hidden),
    }
    weights = [Weight("model.embed_tokens.weight", (vocab, hidden), "embedding")]
    if positions:
        weights.append(Weight("model.embed_positions.weight", (positions, hidden), "embedding"))
    for name, (inputs, outputs) in block.items():
        if experts and name.startswith("mlp."):
            routed = f"model.layers.{{i}}.{name.replace('mlp.', 'mlp.experts.')}"
            weights += linear(routed, inputs, outputs, bias=bias, copies=layers * experts)
            continue
        weights += linear(f"model.layers.{{i}}.{name}", inputs, outputs, bias=bias, copies=layers)
    if experts:
        weights += linear("model.layers.{i}.mlp.gate", hidden, experts, bias=False, copies=layers)
    for name in ("input_layernorm", "post_attention_layernorm"):
        weights += norm(f"model.layers.{{i}}.{name}", hidden, bias=bias, copies=layers)
    weights += norm("model.norm", hidden, bias=bias)
    weights.append(Weight("lm_head.weight", (vocab, hidden), "head", tied=tied))
    return Shape(
        hidden=hidden, layers=layers, heads=heads, kv_heads=kv_heads, head_dim=head_dim, ffn=ffn,
        gated=gated, vocab=vocab, max_positions=positions or None, tied=tied,
        weights=tuple(weights), prefix_inputs=hidden,
        default_lora_targets=("q_proj", "v_proj"), quantised=tuple(block),
        experts=experts, experts_used=experts_used,
    )  # fmt: skip
