"""How generation is carried out, of generation_config.json: cache, drafts, what is returned.

Source: transformers 5.23.0, generation/configuration_utils.py, generation/utils.py and
generation/candidate_generator.py.
"""

from typing import Any

from .declare import Section, param


class Machinery(Section):
    """How generation is carried out: cache, drafts, compilation, what is returned.

    生成的执行方式：缓存、草稿、编译以及返回内容。
    """

    use_cache: bool | None = param(None, matters=2, when_unset=("true", "true"))
    """Keep the keys and values of past tokens. Without it every token reads the whole text again.

    保留已有词元的键和值。关闭后每生成一个词元都要重读全文。
    """

    cache_implementation: str | None = param(None, when_unset=("dynamic", "dynamic"))
    """Kind of cache: one that grows, one of fixed size that allows compilation, one that lies in
    main memory, one in few bits.

    缓存的种类：随用随长、固定大小（可编译）、放在内存、低位数压缩。
    """

    cache_config: dict[str, Any] | None = param(None)
    """Settings of that cache.

    该缓存的设置。
    """

    max_cache_len: int | None = param(None, at_least=1, unit="tokens")
    """Length that a cache of fixed size is made for, so that a longer call compiles nothing anew.
    With a growing cache no effect.

    固定大小的缓存预留的长度，使更长的调用无需重新编译。缓存随用随长时不起作用。
    """

    prefill_chunk_size: int | None = param(None, at_least=1, unit="tokens")
    """Read a long prompt in pieces of so many tokens, to save memory.

    把长提示按这么多词元分段读入，以节省显存。
    """

    compile_config: dict[str, Any] | None = param(None)
    """Settings of torch.compile for a cache of fixed size.

    固定大小缓存下 torch.compile 的设置。
    """

    disable_compile: bool | None = param(None, when_unset=("false", "false"))
    """Do not compile by itself where a cache of fixed size is used.

    使用固定大小缓存时不自动编译。
    """

    continuous_batching_config: dict[str, Any] | None = param(None)
    """Settings of serving many requests at once, which transformers takes apart from this file now,
    with a warning.

    同时处理大量请求的设置；transformers 已改为在别处接收，写在这里会有警告。
    """

    low_memory: bool | None = param(None)
    """A switch of older beam searches, to compute one beam after the other. transformers 5 refuses
    it in a beam search; elsewhere it has no effect.

    旧版束搜索的开关，逐束计算。transformers 5 的束搜索会拒绝它，其他情况下不起作用。
    """

    use_mtp: bool | None = param(None, when_unset=("false", "false"))
    """Draft several tokens with the model's own heads for it, and check them in one pass. Only
    models that were trained with such heads.

    用模型自带的多词元预测头起草多个词元，再一次性核对。仅限训练时带有这种预测头的模型。
    """

    is_assistant: bool | None = param(None, when_unset=("false", "false"))
    """Set by transformers where the model drafts for another one. Nobody writes it.

    模型为另一个模型起草时由 transformers 设置，无需手写。
    """

    num_assistant_tokens: int | None = param(None, at_least=1, when_unset=("20", "20"))
    """Tokens that a smaller model drafts before the large one checks them. The text is what the
    large one would write alone, or drawn with the same chances; only the time changes. Without an
    assistant no effect.

    小模型每次起草的词元数，再由大模型核对。文本与大模型单独生成的相同（采样时概率相同），只影响速
    度。没有助手模型时不起作用。
    """

    num_assistant_tokens_schedule: str | None = param(None, when_unset=("constant", "constant"))
    """Whether that number follows how many drafts were right.

    该数目是否随起草的正确率调整。
    """

    assistant_confidence_threshold: float | None = param(None, when_unset=("0.4", "0.4"))
    """The assistant stops drafting where it is less sure than this.

    助手模型把握低于该值时停止起草。
    """

    assistant_lookbehind: int | None = param(None, at_least=0, when_unset=("10", "10"))
    """Tokens of the assistant that are looked back at to align two different tokenizers.

    两个分词器不同时，为对齐而回看的助手词元数。
    """

    target_lookbehind: int | None = param(None, at_least=0, when_unset=("10", "10"))
    """Tokens of the large model that are looked back at for the same.

    同样目的下回看的大模型词元数。
    """

    assistant_early_exit: int | None = param(None, at_least=1)
    """Let the model's own first layers draft. Only models trained for it.

    由模型自己的前若干层起草，仅限为此训练的模型。
    """

    assistant_ensemble_weight: float | None = param(None, above=0, below=1)
    """Accept drafts against a mixture of both models: faster, and the text is no longer the large
    model's own.

    按两个模型的混合分布接受草稿：更快，但文本不再完全出自大模型。
    """

    speculation_type: str | None = param(None)
    """Which way of drafting is asked for.

    所用的起草方式。
    """

    prompt_lookup_num_tokens: int | None = param(None, at_least=1)
    """Draft so many tokens by looking for the last words in the prompt: quick where answers quote.

    在提示中查找最近的词语来起草这么多词元：回答大量引用原文时很快。
    """

    max_matching_ngram_size: int | None = param(None, at_least=1, when_unset=("2", "2"))
    """How many words must agree for that.

    为此需要一致的词数。
    """

    output_attentions: bool | None = param(None, when_unset=("false", "false"))
    """Return the weights of attention of every step.

    返回每一步的注意力权重。
    """

    output_hidden_states: bool | None = param(None, when_unset=("false", "false"))
    """Return what every layer put out at every step.

    返回每一步各层的输出。
    """

    output_scores: bool | None = param(None, when_unset=("false", "false"))
    """Return the scores after all changes, vocabulary by steps.

    返回全部改动之后的分数，大小为“词表 × 步数”。
    """

    output_logits: bool | None = param(None, when_unset=("false", "false"))
    """Return the logits before any change.

    返回任何改动之前的 logits。
    """

    return_dict_in_generate: bool | None = param(None, when_unset=("false", "false"))
    """Return results by name. Without it nothing but the token ids comes back, whatever else was
    asked for.

    按名称返回结果。不打开时只返回词元 id，其他要求一律无效。
    """
