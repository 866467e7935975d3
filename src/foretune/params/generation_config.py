"""generation_config.json: how a model's answers are written where nobody asks otherwise.

Source: transformers 5.23.0, generation/configuration_utils.py, generation/utils.py and
generation/logits_process.py. A key that stands for nothing here leaves it to ``generate``; what
that takes is in ``when_unset``.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from .declare import Section, param
from .generation_machinery import Machinery

OFF = ("no limit", "不限制")
TURNED_OFF = ("off", "关闭")


class Lengths(Section):
    """How long answers may be, and what ends them.

    回答的长度，以及在何处结束。
    """

    max_length: int | None = param(None, above=0, matters=2, unit="tokens", when_unset=("20", "20"))
    """Most tokens of prompt and answer together; a prompt that is as long fails. Where
    max_new_tokens is given it counts, and this is ignored with a warning.

    提示与回答合计的最大词元数，提示本身达到这个长度就会报错。同时给出 max_new_tokens 时以后者为准，
    并给出警告。
    """

    max_new_tokens: int | None = param(None, above=0, matters=2, unit="tokens", when_unset=OFF)
    """Most tokens of the answer alone, however long the prompt is.

    仅回答部分的最大词元数，与提示长度无关。
    """

    min_length: int | None = param(None, at_least=0, unit="tokens", when_unset=("0", "0"))
    """Fewest tokens of prompt and answer together: until then the end token cannot be chosen.

    提示与回答合计的最少词元数，达到之前不能选择结束词元。
    """

    min_new_tokens: int | None = param(None, at_least=0, unit="tokens", when_unset=("0", "0"))
    """Fewest tokens of the answer: until then the end token cannot be chosen.

    回答的最少词元数，达到之前不能选择结束词元。
    """

    max_time: float | None = param(None, above=0, unit="seconds", when_unset=OFF)
    """Time after which no further token is begun.

    超过该时间就不再生成下一个词元。
    """

    stop_strings: str | list[str] | None = param(None, when_unset=("none", "无"))
    """Texts that end an answer. They are looked for in the text and not in the tokens, so the
    tokenizer must be passed to generate as well.

    出现即结束回答的文本。按文字而不是词元查找，因此还必须把分词器传给 generate。
    """

    eos_token_id: int | list[int] | None = param(
        None, matters=2, when_unset=("that of config.json", "取自 config.json")
    )
    """Token id, or ids, that end an answer. A chat model whose turn ends with another token than
    its texts needs both, or it goes on speaking for the user.

    结束回答的词元 id，可以有多个。对话模型的轮次结束词元若与文本结束词元不同，两个都要写，否则它会
    继续替用户说话。
    """

    pad_token_id: int | None = param(
        None, matters=2, when_unset=("the end token, with a warning", "结束词元，并给出警告")
    )
    """Token id that fills the answers of a batch that have ended already. The prompts are filled by
    the tokenizer, and must be on the left.

    批量生成时，已结束的回答用该词元 id 补齐。提示部分由分词器补齐，而且必须补在左边。
    """

    bos_token_id: int | None = param(None)
    """Token id that generation starts from where it is given no prompt at all.

    完全没有提示时，生成的起始词元 id。
    """

    decoder_start_token_id: int | list[int] | None = param(
        None, when_unset=("bos_token_id", "bos_token_id")
    )
    """Token id that the decoder of a model with an encoder starts from.

    带编码器的模型中，解码器起始的词元 id。
    """


class Choosing(Lengths):
    """How the next token is chosen.

    如何选择下一个词元。
    """

    do_sample: bool | None = param(None, matters=2, when_unset=("false", "false"))
    """Draw the next token by chance instead of taking the likeliest. Without it temperature, top_k,
    top_p and whatever else shapes the chances have no effect.

    随机抽取下一个词元，而不是取概率最大的。不打开时，temperature、top_k、top_p 等调整概率的参数都不
    起作用。
    """

    temperature: float | None = param(None, above=0, matters=2, when_unset=("1.0", "1.0"))
    """Logits are divided by it before the token is drawn: below one surer, above one wilder. Only
    where do_sample is on.

    抽取之前 logits 先除以它：小于一更保守，大于一更发散。只有打开 do_sample 才起作用。
    """

    top_k: int | None = param(None, at_least=0, matters=2, when_unset=("50", "50"))
    """Draw among this many likeliest tokens; zero is all. It is not off where it is not written:
    then generate has a limit of its own. Only where do_sample is on.

    只在概率最大的这么多个词元中抽取，零为全部。不写并不等于关闭：generate 有自己的限制。只有打
    开 do_sample 才起作用。
    """

    top_p: float | None = param(None, at_least=0, at_most=1, matters=2, when_unset=("1.0", "1.0"))
    """Draw among the likeliest tokens that together have this probability, after top_k. Only where
    do_sample is on.

    在 top_k 之后，只在累计概率达到该值的最可能词元中抽取。只有打开 do_sample 才起作用。
    """

    min_p: float | None = param(None, at_least=0, at_most=1, when_unset=TURNED_OFF)
    """Draw among tokens with at least this share of the likeliest one's probability. Only where
    do_sample is on.

    只在概率不低于最大概率的这一比例的词元中抽取。只有打开 do_sample 才起作用。
    """

    top_h: float | None = param(None, at_least=0, at_most=1, when_unset=TURNED_OFF)
    """Draw among the likeliest tokens that keep this share of the distribution's entropy. Only
    where do_sample is on.

    只保留熵占整个分布这一比例的最可能词元。只有打开 do_sample 才起作用。
    """

    typical_p: float | None = param(None, at_least=0, at_most=1, when_unset=("1.0", "1.0"))
    """Draw among the tokens whose surprise is nearest to the expected one, up to this probability.
    Only where do_sample is on.

    在“意外程度”最接近期望值的词元中抽取，直到累计该概率。只有打开 do_sample 才起作用。
    """

    epsilon_cutoff: float | None = param(None, at_least=0, below=1, when_unset=("0.0", "0.0"))
    """Draw among tokens with at least this probability. Only where do_sample is on.

    只在概率不低于该值的词元中抽取。只有打开 do_sample 才起作用。
    """

    eta_cutoff: float | None = param(None, at_least=0, below=1, when_unset=("0.0", "0.0"))
    """The same with a bound that falls where the distribution is flat. Only where do_sample is on.

    同上，但分布越平，门槛越低。只有打开 do_sample 才起作用。
    """

    num_beams: int | None = param(None, at_least=1, matters=2, when_unset=("1", "1"))
    """Drafts that are kept side by side; one is no beam search. Time and key-value cache grow with
    it.

    并行保留的草稿数，为一时不做束搜索。用时和键值缓存随它增长。
    """

    early_stopping: bool | Literal["never"] | None = param(None, when_unset=("false", "false"))
    """When a beam search ends: as soon as there are enough drafts, or once none can get better.
    With one beam no effect.

    束搜索何时结束：草稿够数就停，或确定没有更好的才停。只有一束时不起作用。
    """

    length_penalty: float | None = param(None, when_unset=("1.0", "1.0"))
    """A beam's score is divided by its length to this power, so larger values favour longer
    answers. With one beam no effect, and no penalty in spite of its name.

    束的得分除以长度的这一次幂，因此值越大越偏好长回答。只有一束时不起作用；名为惩罚，实则相反。
    """

    num_return_sequences: int | None = param(None, at_least=1, when_unset=("1", "1"))
    """Answers to each prompt. With beams they are the best of them, and there can be no more than
    beams; with one beam several answers need sampling, and anything else is refused.

    每个提示返回的回答数。使用多束时取最好的几束，不能超过束数；只有一束时，要多个回答必须采样，否则报
    错。
    """

    repetition_penalty: float | None = param(None, above=0, matters=2, when_unset=("1.0", "1.0"))
    """Makes tokens that stand in the prompt or the answer already less likely, also without
    sampling. Far above one it forbids what must be repeated: names, code, table columns.

    降低提示或回答中已出现词元的概率，不采样时同样有效。远大于一时，连必须重复的名字、代码、表格列也
    会被压制。
    """

    encoder_repetition_penalty: float | None = param(None, above=0, when_unset=("1.0", "1.0"))
    """Makes tokens that are not in the prompt less likely.

    降低提示中没有的词元的概率。
    """

    no_repeat_ngram_size: int | None = param(None, at_least=0, when_unset=("0", "0"))
    """No run of so many tokens may come twice, the prompt's included; zero is off.

    任何这么长的词元串不得出现两次（提示中的也算），零为关闭。
    """

    encoder_no_repeat_ngram_size: int | None = param(None, at_least=0, when_unset=("0", "0"))
    """No run of so many tokens of the prompt may be repeated.

    不得重复提示中任何这么长的词元串。
    """


class Steering(Choosing):
    """What forbids, forces or favours single tokens.

    对个别词元的禁止、强制与偏好。
    """

    bad_words_ids: list[list[int]] | None = param(None)
    """Runs of token ids that must not be written.

    不允许生成的词元 id 串。
    """

    force_words_ids: list[Any] | None = param(None)
    """Runs of token ids that must be written; a beam search of its own, which transformers keeps on
    the hub now and does not run without trusting that code.

    必须生成的词元 id 串；属于单独的束搜索，transformers 已把它移到 hub 上，不信任远程代码就不能运
    行。
    """

    constraints: list[Any] | None = param(None)
    """The same as objects of a program; a file cannot hold them.

    同上，以程序对象给出，文件中无法保存。
    """

    forced_bos_token_id: int | None = param(None)
    """Token id that the answer must begin with, as translation models name the language by it.

    回答必须以该词元 id 开头，翻译模型以此指定语言。
    """

    forced_eos_token_id: int | list[int] | None = param(None)
    """Token id that is forced at the last place, so that a text that is cut still ends.

    在最后一个位置强制生成该词元 id，使被截断的文本也有结尾。
    """

    suppress_tokens: list[int] | None = param(None)
    """Token ids that are never written.

    永远不生成的词元 id。
    """

    begin_suppress_tokens: list[int] | None = param(None)
    """Token ids that the answer may not begin with.

    回答不得以其开头的词元 id。
    """

    sequence_bias: list[Any] | dict[str, Any] | None = param(None)
    """Numbers added to the logit that would complete a run of tokens.

    加到能补全某个词元串的 logit 上的数值。
    """

    exponential_decay_length_penalty: list[float] | None = param(None)
    """From so many tokens on the end gets likelier, by a factor at every token.

    从若干词元之后，结束的概率逐词元按倍数增大。
    """

    guidance_scale: float | None = param(None, when_unset=TURNED_OFF)
    """Computes every token a second time without the prompt and goes further away from that. It
    doubles the time.

    每个词元在去掉提示的情况下再算一次，并加大与它的差别。用时加倍。
    """

    renormalize_logits: bool | None = param(None, when_unset=("false", "false"))
    """Make probabilities add up to one again after all other changes; a beam search compares sums
    of them.

    在其他改动之后重新归一化概率；束搜索比较的是它们的累加。
    """

    remove_invalid_values: bool | None = param(None, when_unset=("false", "false"))
    """Replace logits that are no numbers instead of failing. It hides weights that are broken.

    把不是数字的 logits 换掉而不是报错。它会掩盖损坏的权重。
    """

    token_healing: bool | None = param(None, when_unset=("false", "false"))
    """Take back the prompt's last tokens and write them anew, where the prompt was cut inside of a
    word.

    提示在词中间断开时，收回末尾的词元重新生成。
    """

    watermarking_config: dict[str, Any] | None = param(None)
    """Favours a secret half of the vocabulary, so that the text can be recognised later.

    偏向词表中秘密选定的一半，使文本日后可以被识别。
    """


class GenerationDefaults(Steering, Machinery):
    """generation_config.json: how answers are written where nobody asks otherwise. The arguments of
    a call count before it, and training does not read it.

    generation_config.json：没有另外要求时如何生成回答。调用时给出的参数优先；训练不读取它。
    """

    penalty_alpha: float | None = param(None)
    """Switches contrastive search on, which transformers keeps on the hub now: it runs only where
    that code is trusted.

    打开对比搜索；transformers 已把它移到 hub 上，只有信任远程代码才能运行。
    """

    dola_layers: str | list[int] | None = param(None)
    """Switches decoding by contrasting layers on, which transformers keeps on the hub now.

    打开层间对比解码（DoLa）；transformers 已把它移到 hub 上。
    """

    num_beam_groups: int | None = param(None, at_least=1, when_unset=("1", "1"))
    """Groups of beams that must differ, which transformers keeps on the hub now.

    要求彼此不同的束分组数；transformers 已把它移到 hub 上。
    """

    diversity_penalty: float | None = param(None, when_unset=("0.0", "0.0"))
    """How much such groups must differ. With one group no effect.

    各组之间必须相差的程度。只有一组时不起作用。
    """

    from_model_config: Annotated[bool | None, Field(alias="_from_model_config")] = param(None)
    """A mark that the file was made from the keys of an old config.json. Keys that generation does
    not know are then left out when it is read.

    表示该文件由旧 config.json 中的键生成；读取时会略去生成过程不认识的键。
    """

    transformers_version: str | None = param(None)
    """Version of transformers that wrote the file. Not a requirement.

    写出该文件的 transformers 版本，并非版本要求。
    """
