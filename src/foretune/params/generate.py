"""How answers are written and scored in evaluation and prediction.

Source: transformers 5.23.0, training_args_seq2seq.py and trainer_seq2seq.py; THUDM/ChatGLM2-6B,
ptuning/main.py.
"""

from typing import Literal

from .declare import Section, param

METRICS = ("rouge-1", "rouge-2", "rouge-l", "bleu-4", "exact_match")
"""What generated answers are scored by; the larger the better."""


class Generate(Section):
    """How answers are written and scored in evaluation and prediction.

    评估与预测时如何生成回答并打分。
    """

    enabled: bool = param(False, matters=2)
    """Let the model write an answer to every row that is evaluated or predicted, to be scored
    against the reference; without it only the loss is computed. It asks for no evaluation by
    itself. It takes one pass per token of the longest answer in a batch.

    评估或预测时，让模型为每一行写出回答，再与参考答案比较打分；不打开则只计算损失。它本身并不会触发
    评估。每个批次要跑的前向次数等于其中最长回答的词元数。
    """

    max_length: int | None = param(
        None,
        at_least=2,
        matters=2,
        unit="tokens",
        when_unset=(
            "data.max_source_length + data.max_target_length + 1; of an encoder-decoder "
            "data.max_target_length + 1",
            "data.max_source_length + data.max_target_length + 1；编码器–解码器模型为 "
            "data.max_target_length + 1",
        ),
    )
    """Where writing stops at the latest, counted from the start of the prompt: a long prompt leaves
    less room for the answer. Under the official data protocol the padding of the prompt counts too.
    An encoder-decoder counts the answer alone, and the token that it starts from.

    最迟在何处停止生成，从提示词开头算起：提示词越长，留给回答的空间越小。按官方数据协议处理时，提示
    词的填充也计算在内。编码器–解码器模型只计回答本身和起始词元。
    """

    num_beams: int | None = param(None, at_least=1, when_unset=("no beam search", "不用束搜索"))
    """Answers kept side by side while writing, of which the most probable one is taken; time and
    key-value cache grow with their number.

    生成时并行保留的候选回答数，最后取概率最高的一个；时间和键值缓存随之成倍增长。
    """

    do_sample: bool = param(False, matters=2)
    """Draw each token at random by its probability instead of taking the most probable one. Scores
    then vary with the seed, the batch size and the hardware.

    按概率随机抽取每个词元，而不是取概率最高的。此时得分会随随机种子、批量大小和硬件而变。
    """

    top_p: float = param(1.0, above=0, at_most=1, source="arXiv:1904.09751")
    """Draw only among the most probable tokens that together reach this probability. Without
    sampling it has no effect.

    只在累计概率达到该值的那些最可能的词元中抽取。不采样时不起作用。
    """

    top_k: int | None = param(
        None, at_least=0, when_unset=("the model's generation config", "取自模型的生成配置")
    )
    """Draw only among so many of the most probable tokens; zero lifts the limit. Without sampling
    it has no effect.

    只在概率最高的这么多个词元中抽取，写零表示不限。不采样时不起作用。
    """

    temperature: float = param(1.0, above=0)
    """Logits are divided by it before drawing: lower is closer to the most probable token, higher
    is more varied. Without sampling it has no effect.

    抽取之前 logits 要除以该值：越低越接近概率最高的词元，越高越多样。不采样时不起作用。
    """

    config: str | None = param(
        None,
        when_unset=(
            "the generation_config.json beside the model",
            "模型旁边的 generation_config.json",
        ),
    )
    """File, folder or hub name of a generation config that replaces the model's own.

    代替模型自带生成配置的文件、文件夹或 hub 名称。
    """

    metrics: Literal["official", "chatglm3", "jieba-words"] = param("official", matters=2)
    """Whose computation of BLEU-4 and ROUGE is followed. They differ in whether BLEU counts
    characters or words and in its scale, so their figures do not compare.

    按谁的算法计算 BLEU-4 和 ROUGE。它们的 BLEU 有的按字、有的按词，刻度也不同，得出的数字不能互相比
    较。
    """
