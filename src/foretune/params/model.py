"""Which model is tuned, and where its files come from.

Source: THUDM/ChatGLM2-6B, ptuning/arguments.py and main.py; transformers 5.23.0, modeling_utils.py.
"""

from typing import Literal

from .declare import Section, param


class Model(Section):
    """The model to tune, and where its files come from.

    要微调的模型，以及它的各个文件来自哪里。
    """

    path: str | None = param(None, matters=2)
    """Folder or hub name of the model: config.json, weights and tokenizer files. Code that lies in
    that folder is never executed; the families are part of foretune.

    模型所在的文件夹或 hub 上的名称，其中有 config.json、权重和分词器文件。文件夹里附带的代码从不执
    行，各模型家族由 foretune 自己实现。
    """

    fresh: bool = param(False, matters=2)
    """Start training from random weights, drawn by the seed of the run, instead of those in the
    folder, which may have none: config.json and tokenizer are enough. Every weight must train. A
    run that does not train reads the weights all the same.

    从随机权重开始训练（由训练的随机种子决定），而不读取文件夹中的权重。文件夹里可以没有权重，只需要
    有 config.json 和分词器。所有权重都必须参与训练。不训练的运行仍然读取权重。
    """

    config: str | None = param(None, when_unset="model.path")
    """Folder or hub name to take config.json from, when it is not beside the weights.

    config.json 不与权重放在一起时，指明从哪个文件夹或 hub 名称读取。
    """

    tokenizer: str | None = param(None, when_unset="model.path")
    """Folder or hub name to take the tokenizer from. It must be the one the weights were trained
    with: another one gives valid token numbers that mean something else.

    分词器所在的文件夹或 hub 名称。必须与训练权重时所用的一致：换成别的分词器，词元编号仍然合法，含
    义却全都变了。
    """

    revision: str = param("main")
    """Branch, tag or commit of the hub repository. Only a commit names the same files for ever; for
    a local folder it has no effect.

    hub 仓库的分支、标签或提交。只有写提交号才能保证以后取到的文件不变；对本地文件夹不起作用。
    """

    attention: Literal["eager", "sdpa", "flash_attention_2", "flex_attention"] | None = param(
        None,
        matters=2,
        when_unset=("what transformers picks for the model", "由 transformers 按模型选择"),
    )
    """Which implementation computes attention. They agree up to rounding; they differ in speed and
    in memory: the plain one holds every score, so its memory grows with the square of the length,
    while the fused ones never hold them all.

    用哪一种实现计算注意力。结果只差舍入误差，差别在速度和显存：最朴素的实现要存下全部注意力分数，显
    存随长度的平方增长；融合实现从不同时存下它们。
    """

    cache: str | None = param(
        None, when_unset=("the hub's own cache folder", "hub 自己的缓存文件夹")
    )
    """Folder that keeps what was downloaded from the hub.

    存放从 hub 下载的文件的文件夹。
    """

    token: bool = param(False)
    """Send the stored hub login along when downloading; gated and private repositories need it.

    下载时附上本机已登录的 hub 凭据，受限或私有的仓库需要它。
    """
