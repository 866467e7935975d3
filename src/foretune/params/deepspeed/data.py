"""The data_efficiency block of ds_config.json: curriculum, dynamic batches, dropped tokens."""

from typing import Literal

from ..declare import Section, param


class CurriculumLearning(Section):
    """Easier examples first. Only DeepSpeed's own data loader does it; the Trainer brings its own.

    先易后难。只有 DeepSpeed 自己的数据加载器会这样做，而 Trainer 用的是自己的。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Begin with easy examples; curriculum_metrics is then needed.

    从容易的样本开始；此时必须写 curriculum_metrics。
    """

    data_cluster_path: str | None = param(
        None,
        when_unset=("needed where a metric clusters", "按难度聚类时必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline",
    )
    """Folder for the lists of examples by difficulty.

    按难度排列的样本列表所在文件夹。
    """

    curriculum_metrics: dict[str, dict[str, object]] = param(
        {}, source="DeepSpeed 0.19.8, runtime/data_pipeline"
    )
    """Measures of difficulty by name. Each has index_to_sample_path, index_to_metric_path,
    difficulty_type, clustering_type, min_difficulty, max_difficulty, schedule_type and
    schedule_config.

    各种难度指标，以名称为键。每项写 index_to_sample_path、index_to_metric_path、difficulty_type、
    clustering_type、min_difficulty、max_difficulty、schedule_type、schedule_config。
    """


class DynamicBatching(Section):
    """Batches with the same number of tokens instead of examples. Read only by a function of
    DeepSpeed that builds such a data loader.

    每批词元数相同而不是样本数相同。只有 DeepSpeed 中构建这种数据加载器的函数才读取。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling")
    """Make batches by tokens; max_tokens is then needed.

    按词元数组成批次；此时必须写 max_tokens。
    """

    metrics_path: str | None = param(
        None,
        when_unset=(
            "needed where the lengths are not given in Python",
            "没有在 Python 中给出长度时必须写",
        ),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling",
    )
    """Folder with the measured lengths.

    测得的长度所在文件夹。
    """

    lr_scaling_method: Literal["linear", "sqrt", "none"] = param(
        "linear", source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling"
    )
    """How the learning rate follows the size of a batch.

    学习率如何随批量大小变化。
    """

    min_batch_size: int = param(
        1,
        at_least=1,
        unit="examples",
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling",
    )
    """Batches with fewer examples are left out.

    样本数少于此的批次不使用。
    """

    max_batch_size: int | None = param(
        None,
        at_least=1,
        unit="examples",
        when_unset=("no limit", "不限"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling",
    )
    """Most examples in a batch.

    每批样本数的上限。
    """

    sequence_picking_order: Literal["dataloader", "random", "seqlen"] = param(
        "dataloader", source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling"
    )
    """In which order examples are put into batches.

    以什么顺序把样本放入批次。
    """

    max_tokens: int | None = param(
        None,
        at_least=1,
        unit="tokens",
        when_unset=("needed where it is turned on", "打开时必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling",
    )
    """Most tokens in a batch.

    每批词元数的上限。
    """

    verbose: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline/data_sampling")
    """Print how batches are made.

    打印批次的组成。
    """


class DataSampling(Section):
    """The data_sampling block.

    data_sampling 配置块。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Let the settings below choose the examples.

    由下面的设置选择样本。
    """

    num_epochs: int = param(1000, at_least=1, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Most passes over the data.

    数据最多遍历的次数。
    """

    num_workers: int = param(
        0, at_least=0, unit="processes per device", source="DeepSpeed 0.19.8, runtime/data_pipeline"
    )
    """Extra processes that read data for DeepSpeed's loader.

    为 DeepSpeed 的加载器读取数据的额外进程数。
    """

    pin_memory: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Put batches into page-locked memory.

    把批次放在锁页内存中。
    """

    curriculum_learning: CurriculumLearning = param(CurriculumLearning.model_construct())
    dynamic_batching: DynamicBatching = param(DynamicBatching.model_construct())


class LtdScheduleConfig(Section):
    """Numbers of the schedule of random-LTD.

    random-LTD 调度的数值。
    """

    require_steps: int | None = param(
        None,
        at_least=1,
        unit="steps",
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """Steps until no token is dropped any more.

    经过多少步之后不再丢弃词元。
    """

    seq_per_step: int | None = param(
        None,
        at_least=1,
        unit="tokens",
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """Lengths are multiples of this.

    长度取它的整数倍。
    """


class LtdSchedule(Section):
    """How many tokens a layer keeps as training goes on.

    训练过程中每层保留多少词元。
    """

    min_value: int | None = param(
        None,
        at_least=1,
        unit="tokens",
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """Tokens kept at the beginning.

    开始时保留的词元数。
    """

    max_value: int | None = param(
        None,
        at_least=1,
        unit="tokens",
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """Tokens kept at the end: the whole length.

    结束时保留的词元数，即完整长度。
    """

    schedule_type: Literal["fixed_linear"] | None = param(
        None,
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """How the number grows; there is one way.

    数目如何增长；只有一种方式。
    """

    schedule_config: LtdScheduleConfig = param(LtdScheduleConfig.model_construct())


class LayerTokenSchedule(Section):
    """A learning rate by tokens instead of steps. It was never finished.

    按词元数而不是步数变化的学习率。从未完成。
    """

    enabled: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py"
    )
    """Turning it on stops the run with an error.

    打开会直接报错。
    """

    total_layer_tokens: int | None = param(
        None,
        when_unset=("not used", "不使用"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """No effect: nothing reads it.

    没有作用：没有代码读取它。
    """

    warmup_type: str | None = param(
        None,
        when_unset=("not used", "不使用"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """No effect: nothing reads it.

    没有作用：没有代码读取它。
    """

    warmup_layer_tokens: int | None = param(
        None,
        when_unset=("not used", "不使用"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing/scheduler.py",
    )
    """No effect: nothing reads it.

    没有作用：没有代码读取它。
    """


class RandomLtd(Section):
    """Random-LTD: layers in the middle see only part of the tokens at first. The model's layers
    must be wrapped for it in Python.

    Random-LTD：中间的层起初只看到一部分词元。模型的层需要在 Python 中专门包装。
    """

    enabled: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586"
    )
    """Drop tokens in the middle layers.

    在中间的层丢弃词元。
    """

    total_layer_num: int | None = param(
        None,
        at_least=1,
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """Layers that the model has.

    模型一共有多少层。
    """

    random_ltd_layer_num: int | None = param(
        None,
        at_least=1,
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """How many of them drop tokens.

    其中多少层丢弃词元。
    """

    random_ltd_layer_id: tuple[int, ...] = param(
        (), source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586"
    )
    """Numbers of the layers that do, from zero.

    丢弃词元的层的编号，从零开始。
    """

    model_mask_name: str | None = param(
        None,
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """Name of the attention mask among the arguments of a layer.

    层的参数中注意力掩码的名称。
    """

    model_type: Literal["decoder", "encoder"] | None = param(
        None,
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """Whether tokens look back only, or both ways.

    词元只看前文，还是前后都看。
    """

    hidden_state_order: Literal["batch_seq_dim", "seq_batch_dim"] | None = param(
        None,
        when_unset=("needed", "必须写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """Order of the dimensions of the hidden states.

    隐藏状态各维度的顺序。
    """

    micro_batch_size: int | None = param(
        None,
        at_least=1,
        when_unset=("DeepSpeed fills it in", "由 DeepSpeed 填写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """Micro batch; DeepSpeed sets it.

    微批次，由 DeepSpeed 设置。
    """

    global_batch_size: int | None = param(
        None,
        at_least=1,
        when_unset=("DeepSpeed fills it in", "由 DeepSpeed 填写"),
        source="DeepSpeed 0.19.8, runtime/data_pipeline/data_routing; arXiv:2211.11586",
    )
    """Total batch; DeepSpeed sets it.

    总批量，由 DeepSpeed 设置。
    """

    random_ltd_schedule: LtdSchedule = param(LtdSchedule.model_construct())
    layer_token_lr_schedule: LayerTokenSchedule = param(LayerTokenSchedule.model_construct())


class DataRouting(Section):
    """The data_routing block.

    data_routing 配置块。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Let layers see part of the tokens only.

    让部分层只看到一部分词元。
    """

    random_ltd: RandomLtd = param(RandomLtd.model_construct())


class DataEfficiency(Section):
    """The data_efficiency block. Its sampling needs DeepSpeed's own data loader, which the Trainer
    does not use.

    data_efficiency 配置块。其中的采样需要 DeepSpeed 自己的数据加载器，Trainer 不使用它。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Turn it on; without it nothing else of the block is read.

    打开；否则该配置块的其余内容都不读取。
    """

    seed: int = param(1234, at_least=0, source="DeepSpeed 0.19.8, runtime/data_pipeline")
    """Seed of its sampling.

    采样所用的随机种子。
    """

    data_sampling: DataSampling = param(DataSampling.model_construct())
    data_routing: DataRouting = param(DataRouting.model_construct())
