"""The autotuning block of ds_config.json."""

from typing import Literal

from ..declare import Section, param


class ModelInfo(Section):
    """Facts of the model that the autotuner need not measure.

    自动调优器无需再测量的模型信息。
    """

    profile: bool = param(False, source="DeepSpeed 0.19.8, autotuning/constants.py")
    """Measure them in a run of its own.

    用一次单独的运行来测量。
    """

    num_params: int | None = param(
        None,
        at_least=0,
        when_unset=("it is measured", "自动测量"),
        source="DeepSpeed 0.19.8, autotuning/constants.py",
    )
    """Parameters of the model.

    模型的参数个数。
    """

    hidden_size: int | None = param(
        None,
        at_least=1,
        when_unset=("it is measured", "自动测量"),
        source="DeepSpeed 0.19.8, autotuning/constants.py",
    )
    """Width of the hidden states.

    隐藏状态的宽度。
    """

    num_layers: int | None = param(
        None,
        at_least=1,
        when_unset=("it is measured", "自动测量"),
        source="DeepSpeed 0.19.8, autotuning/constants.py",
    )
    """Layers that the model has.

    模型一共有多少层。
    """


class Autotuning(Section):
    """The autotuning block: tries ZeRO stages and micro batches in short runs and keeps the
    fastest. Only `deepspeed --autotuning` starts it; an ordinary run ignores the block.

    autotuning 配置块：用短时运行尝试各种 ZeRO 阶段和微批次，选出最快的。只
    有 `deepspeed --autotuning` 会启动它，普通训练忽略该配置块。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, autotuning")
    """Let `deepspeed --autotuning` try things out.

    允许 `deepspeed --autotuning` 进行尝试。
    """

    fast: bool = param(True, source="DeepSpeed 0.19.8, autotuning")
    """Try only ZeRO stages and micro batches, not the buckets.

    只尝试 ZeRO 阶段和微批次，不尝试分桶大小。
    """

    results_dir: str = param("autotuning_results", source="DeepSpeed 0.19.8, autotuning")
    """Folder for what was measured.

    测量结果所在文件夹。
    """

    exps_dir: str = param("autotuning_exps", source="DeepSpeed 0.19.8, autotuning")
    """Folder for the configurations that are tried.

    所尝试的配置所在文件夹。
    """

    overwrite: bool = param(True, source="DeepSpeed 0.19.8, autotuning")
    """Throw earlier results away at the start. The documentation gives the opposite default.

    开始时清除之前的结果。官方文档写的默认值与此相反。
    """

    start_profile_step: int = param(
        3, at_least=0, unit="steps", source="DeepSpeed 0.19.8, autotuning"
    )
    """Step at which measuring begins.

    从哪一步开始测量。
    """

    end_profile_step: int = param(
        5, at_least=0, unit="steps", source="DeepSpeed 0.19.8, autotuning"
    )
    """Step at which measuring ends.

    到哪一步结束测量。
    """

    metric: Literal["throughput", "latency", "flops"] = param(
        "throughput", source="DeepSpeed 0.19.8, autotuning"
    )
    """What counts as fast: samples per second, time per step, or operations per second.

    以什么衡量快慢：每秒样本数、每步耗时，或每秒运算量。
    """

    metric_path: str | None = param(
        None,
        when_unset=("a file of the experiment's folder", "实验文件夹中的文件"),
        source="DeepSpeed 0.19.8, autotuning",
    )
    """File that the trial runs write their figure to.

    试运行写出测量值的文件。
    """

    tuner_type: Literal["gridsearch", "random", "model_based"] = param(
        "gridsearch", source="DeepSpeed 0.19.8, autotuning"
    )
    """In which order to try. The documentation gives another default than the code.

    以什么顺序尝试。官方文档写的默认值与代码不同。
    """

    tuner_early_stopping: int = param(5, at_least=0, source="DeepSpeed 0.19.8, autotuning")
    """Give up after so many trials without a better one.

    连续这么多次没有更好的结果就停止。
    """

    tuner_num_trials: int = param(50, at_least=1, source="DeepSpeed 0.19.8, autotuning")
    """Most trials per ZeRO stage.

    每个 ZeRO 阶段最多尝试的次数。
    """

    arg_mappings: dict[str, str] | None = param(
        None,
        when_unset=("the script reads ds_config.json itself", "脚本自己读取 ds_config.json"),
        source="DeepSpeed 0.19.8, autotuning",
    )
    """Flags of the script that must change with a key of ds_config.json.

    脚本中哪些参数要随 ds_config.json 的键一起改变。
    """

    model_info: ModelInfo = param(ModelInfo.model_construct())
    model_info_path: str | None = param(
        None,
        when_unset=("a file of the results' folder", "结果文件夹中的文件"),
        source="DeepSpeed 0.19.8, autotuning",
    )
    """File with what was measured of the model.

    存放模型测量结果的文件。
    """

    mp_size: int = param(1, at_least=1, source="DeepSpeed 0.19.8, autotuning")
    """Degree of model parallelism.

    模型并行度。
    """

    max_train_batch_size: int | None = param(
        None, at_least=1, when_unset=("no limit", "不限"), source="DeepSpeed 0.19.8, autotuning"
    )
    """Largest total batch to try.

    尝试的最大总批量。
    """

    min_train_batch_size: int = param(1, at_least=1, source="DeepSpeed 0.19.8, autotuning")
    """Smallest total batch. No effect: nothing reads it any more.

    最小总批量。没有作用：现在没有代码读取它。
    """

    max_train_micro_batch_size_per_gpu: int = param(
        1024, at_least=1, source="DeepSpeed 0.19.8, autotuning"
    )
    """Largest micro batch to try.

    尝试的最大微批次。
    """

    min_train_micro_batch_size_per_gpu: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, autotuning"
    )
    """Smallest micro batch to try.

    尝试的最小微批次。
    """

    num_tuning_micro_batch_sizes: int = param(3, at_least=1, source="DeepSpeed 0.19.8, autotuning")
    """How many micro batches to try.

    尝试几种微批次大小。
    """
