"""Keys that only tuning and storing a model is about: what foretune adds to the published ones, and
what the ChatGLMs have of their own.

Source: THUDM/chatglm-6b and THUDM/chatglm2-6b, configuration_chatglm.py and quantization.py.
"""

from typing import Literal

from ..declare import param
from .architecture import Architecture


class Prefixed(Architecture):
    """A model that can carry the prefix of P-Tuning v2.

    可以带 P-Tuning v2 前缀的模型。
    """

    pre_seq_len: int | None = param(None, at_least=1, matters=3, unit="positions")
    """Trained key and value positions put in front in every layer (P-Tuning v2). They use up none
    of the input's positions; the length of a text has nothing to do with it.

    每一层前面附加的可训练键值位置数（P-Tuning v2）。它不占用输入的位置，与文本长度无关。
    """

    prefix_projection: bool = param(False, matters=2)
    """Make the prefix through a two-layer network instead of training it directly: many more
    trained parameters.

    通过两层网络生成前缀，而不是直接训练前缀：可训练参数会多得多。
    """

    prefix_dropout: float = param(
        0.1, at_least=0, at_most=1, source="modeling_chatglm.py of THUDM/chatglm-6b"
    )
    """Share of the prefix set to zero in training. The published code has no key for it: there it
    is fixed.

    训练时前缀中被置零的比例。官方代码没有对应的键，而是固定值。
    """


class Tunable(Prefixed):
    """A ChatGLM: it can carry a prefix, and be stored in few bits.

    ChatGLM 系列：可以带前缀，也可以用较少的位数存储。
    """

    quantization_bit: Literal[0, 4, 8] = param(0, matters=2)
    """Bits in which the four matrices of every block are stored; zero means not quantised.

    每个块中四个矩阵的存储位数；为零表示未量化。
    """
