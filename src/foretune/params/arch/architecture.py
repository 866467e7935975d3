"""What every file of a model's sizes declares, and what every config.json of transformers may hold,
whatever the model.

Source: transformers 5.23.0, configuration_utils.py (PreTrainedConfig).
"""

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from ...text import Said
from ..declare import Section, param
from .shape import Shape
from .traits import Traits


@dataclass(frozen=True, slots=True)
class Remark:
    """What a key says that its value does not show."""

    key: str
    what: Said
    why: Said


class Family(Section, abc.ABC):
    """A model family as the file of its sizes declares it, key by key.

    以描述模型尺寸的文件的键声明的模型族。
    """

    model_config = ConfigDict(strict=True)

    second_names: ClassVar[dict[str, str]] = {}
    """Keys that say once more what another key says."""

    published: ClassVar[dict[str, Any]] = {}
    """A published model, in the keys that the defaults do not say: what effects are shown on where
    no file is given."""

    @classmethod
    @abc.abstractmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """True where a file with these keys is of this family."""

    @property
    @abc.abstractmethod
    def shape(self) -> Shape:
        """The sizes of the model and every parameter it has."""

    @property
    def traits(self) -> Traits | None:
        """How the model is built, to hold it beside one of another family."""
        return None

    def remarks(self) -> Iterator[Remark]:
        """What a reader of the file should know beside the values in it."""
        yield from ()

    @classmethod
    def keys(cls) -> dict[str, str]:
        """The keys of the file that this family knows, each with the name of its field."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}


class ModelKeys(Section):
    """What every config.json of transformers may hold, whatever the model.

    transformers 的 config.json 中，与具体模型无关的键。
    """

    model_type: str = param("")
    """The family; it decides which model class reads the weights.

    模型族名称，决定由哪个模型类读取权重。
    """

    architectures: list[str] | None = param(None)
    """Class that the weights were saved from. Only tools that pick a class by it read it.

    保存权重时所用的类名，只有按它选择模型类的工具才会读取。
    """

    auto_map: dict[str, Any] | None = param(None)
    """Python files of the folder that hold the model's own code. They run only where
    trust_remote_code is given; foretune never runs them.

    文件夹中存放模型自带代码的 Python 文件。只有给出 trust_remote_code 时才会被执行；foretune 从不执
    行它们。
    """

    name_or_path: Annotated[str, Field(alias="_name_or_path")] = param("")
    """Where the model was loaded from by whoever saved it. No effect.

    保存者当时加载模型的位置，没有作用。
    """

    torch_dtype: str | None = param(None, matters=2)
    """Number type in which the weights were saved. What is computed in is decided where the model
    is loaded: transformers 5 follows this value unless told otherwise, older versions loaded
    float32.

    权重保存时的数据类型。实际使用的类型在加载时决定：transformers 5 默认沿用它，更早的版本会加载
    为 float32。
    """

    transformers_version: str | None = param(None)
    """Version of transformers that wrote the file. Not a requirement: nothing is chosen by it. It
    tells a reader by which version's arithmetic the steps in a log of that training were counted.

    写出该文件的 transformers 版本，并非版本要求，加载时不看它。读者可以由它得知，当时训练日志中的步
    数是按哪个版本的算法计数的。
    """

    use_cache: bool = param(True)
    """Keep keys and values of past tokens while generating. Training with gradient checkpointing
    has no use for them.

    生成时保留已有词元的键和值。使用梯度检查点训练时用不到。
    """

    tie_word_embeddings: bool = param(True, matters=2, source="transformers 4 PretrainedConfig")
    """The output layer is the embedding itself: one tensor, counted and trained once. A family
    whose code has no tie ignores the key.

    输出层就是词嵌入本身：同一个张量，只计数、只训练一次。代码中没有绑定的模型族会忽略该键。
    """

    bos_token_id: int | None = param(None, at_least=0)
    """Token id that opens a text.

    表示文本开始的词元 id。
    """

    eos_token_id: int | list[int] | None = param(None)
    """Token id, or ids, at which generation stops.

    生成到该词元 id（或其中任意一个）时停止。
    """

    pad_token_id: int | None = param(None, at_least=0)
    """Token id that fills the finished rows of a batch while generating. What fills a training
    batch, and what the labels ignore, is decided by the tokenizer and the training script, not by
    this key. In transformers' own Llama, Mistral and Qwen, and in Baichuan's published code, its
    row of the embedding gets no gradient.

    批量生成时填充已结束行的词元 id。训练批次用什么填充、标签忽略什么，由分词器和训练脚本决定，而不
    是由该键决定。在 transformers 自带的 Llama、Mistral、Qwen 和 Baichuan 的官方代码里，词嵌入中对应
    的那一行得不到梯度。
    """

    from_model_config: Annotated[bool | None, Field(alias="_from_model_config")] = param(None)
    """No effect: in a generation_config.json it says that the file was made from a model's config,
    and Baichuan's published config.json carries it along.

    不起作用：它在 generation_config.json 中表示该文件由模型配置生成，Baichuan 发布的配置把它一并带
    上了。
    """

    id2label: dict[str | int, Any] | None = param(None)
    """Names of the classes that a classifying head tells apart; their number is the width of that
    head. A model that writes has no such head: no effect there.

    分类头所区分的类别名称，其数量就是分类头的宽度。生成模型没有分类头，不受影响。
    """

    label2id: dict[str, Any] | None = param(None)
    """The numbers of those names, the other way round. Only labels that come as names need it.

    上述名称到编号的反向对应，只有标签以名称给出时才需要。
    """

    num_labels: int | None = param(None, at_least=1)
    """Number of classes where they have no names; it makes up names for them. Beside names that are
    written, a number that differs from theirs is ignored with a warning.

    类别没有名称时的类别数，会自动生成名称。已经写了名称而数目不同时，只会警告并忽略它。
    """

    problem_type: str | None = param(None)
    """Which loss a classifying head takes: a distance, one class of many, or several at once.
    Without it the labels decide.

    分类头使用哪种损失：数值距离、多类选一、或多标签。不写则由标签的类型决定。
    """


class Architecture(ModelKeys, Family):
    """A model family as its config.json declares it, key by key.

    以 config.json 的键声明的模型族。
    """
