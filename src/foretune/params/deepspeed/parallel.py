"""The tensor_parallel, pipeline and hybrid_engine blocks of ds_config.json."""

from typing import Literal

from ..declare import Section, param


class TensorParallelGroup(Section):
    """The tp block of tensor_parallel.

    tensor_parallel 中的 tp 配置块。
    """

    tp_size: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Processes per copy of the model as seen by inference. Training reads autotp_size.

    推理时每份模型的进程数。训练读取的是 autotp_size。
    """

    tp_grain_size: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Widths are cut at multiples of this.

    切分宽度时取它的整数倍。
    """

    mpu: None = param(
        None,
        when_unset=("set from Python only", "只能在 Python 中设置"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """An object that knows the groups of processes. No file can hold it.

    描述进程分组的对象，无法写在文件里。
    """

    tp_group: None = param(
        None,
        when_unset=("set from Python only", "只能在 Python 中设置"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """A group of processes. No file can hold it.

    进程组，无法写在文件里。
    """


class TensorParallel(Section):
    """The tensor_parallel block: every linear layer is split over some processes, which then see
    the same rows, so fewer processes are left for different ones.

    tensor_parallel 配置块：把每个线性层切分到若干进程，这些进程看到同样的数据，因此处理不同数据的进
    程变少。
    """

    autotp_size: int = param(
        0, at_least=0, matters=2, source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Processes that share one copy of the model; zero turns it off. The total batch counts only
    the remaining ways of data parallelism.

    共同持有一份模型的进程数；写零表示不使用。总批量只按剩下的数据并行路数计算。
    """

    dtype: str | None = param(
        None,
        when_unset=("float16; training follows fp16 and bf16", "float16；训练时跟随 fp16 和 bf16"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """Number type to convert the model to.

    把模型转换成的数值类型。
    """

    tp_overlap_comm: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Go on computing while the parts of a layer are summed.

    对各部分求和时继续计算。
    """

    vocab_parallel_lm_head: bool | None = param(
        None,
        when_unset=("as the transformers model plans it", "按 transformers 模型自己的方案"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """Leave the output layer split over the vocabulary and compute the loss on the parts.

    输出层按词表切分，直接在各部分上计算损失。
    """

    vocab_parallel_ce_backend: Literal["torch", "liger"] = param(
        "torch", source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Which code computes that loss.

    用哪种实现计算该损失。
    """

    tp: TensorParallelGroup = param(TensorParallelGroup.model_construct())
    injection_policy_tuple: tuple[str, ...] | None = param(
        None,
        when_unset=("found in the model", "从模型中得出"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """Names of the layers whose results are summed; set by DeepSpeed itself.

    需要对结果求和的层名；由 DeepSpeed 自己设置。
    """

    partition_config: dict[str, object] | None = param(
        None,
        when_unset=("the model's own plan, or preset_model", "模型自己的方案，或 preset_model"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """Rules of your own on how weights are split: use_default_specs, and layer_specs with patterns,
    partition_type, shape, partition_dim and model_types.

    自定义切分规则：use_default_specs，以及 layer_specs 中的 patterns、partition_type、shape、
    partition_dim、model_types。
    """

    preset_model: str | None = param(
        None,
        when_unset=("the model's own plan", "模型自己的方案"),
        source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py",
    )
    """Family whose ready rules are used, such as llama or chatglm.

    使用哪个模型家族的现成规则，例如 llama 或 chatglm。
    """

    keep_module_on_host: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Split the weights in main memory before they go to the GPU.

    先在内存中切分权重，再送到 GPU。
    """

    replace_with_kernel_inject: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/tensor_parallel/config.py"
    )
    """Replace layers by inference kernels; training does not.

    把层换成推理算子；训练时不使用。
    """


class Pipeline(Section):
    """The pipeline block, read only for models written as DeepSpeed's PipelineModule; transformers'
    models are none.

    pipeline 配置块，只有写成 DeepSpeed 的 PipelineModule 的模型才读取；transformers 的模型不是。
    """

    stages: int | Literal["auto"] = param("auto", source="DeepSpeed 0.19.8, runtime/pipe/engine.py")
    """Stages of the pipeline. No effect: the PipelineModule is told in Python.

    流水线的阶段数。没有作用：阶段数在 Python 中传给 PipelineModule。
    """

    partition: str = param("best", source="DeepSpeed 0.19.8, runtime/pipe/engine.py")
    """How layers are dealt out. No effect: the PipelineModule is told in Python.

    各层如何分配。没有作用：在 Python 中传给 PipelineModule。
    """

    seed_layers: bool = param(False, source="DeepSpeed 0.19.8, runtime/pipe/engine.py")
    """A seed for every layer. No effect: the PipelineModule is told in Python.

    每层使用单独的随机种子。没有作用：在 Python 中传给 PipelineModule。
    """

    activation_checkpoint_interval: int = param(
        0, at_least=0, source="DeepSpeed 0.19.8, runtime/pipe/engine.py"
    )
    """Checkpoint activations every so many layers.

    每隔这么多层做一次激活检查点。
    """

    pipe_partitioned: bool = param(True, source="DeepSpeed 0.19.8, runtime/pipe/engine.py")
    """Split activations between stages over the processes of tensor parallelism.

    阶段之间的激活按张量并行切分。
    """

    grad_partitioned: bool = param(True, source="DeepSpeed 0.19.8, runtime/pipe/engine.py")
    """Split gradients between stages likewise.

    阶段之间的梯度同样切分。
    """

    use_reentrant: bool = param(True, source="DeepSpeed 0.19.8, runtime/pipe/engine.py")
    """Which of the two kinds of checkpointing is used.

    使用两种检查点实现中的哪一种。
    """


class HybridEngine(Section):
    """The hybrid_engine block: one model that trains and generates in turn, for reinforcement
    learning. The Trainer does not use it.

    hybrid_engine 配置块：同一个模型交替训练与生成，用于强化学习。Trainer 不使用它。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/hybrid_engine.py")
    """Make the model with the hybrid engine.

    使用混合引擎创建模型。
    """

    max_out_tokens: int = param(
        512, above=0, unit="tokens", source="DeepSpeed 0.19.8, runtime/hybrid_engine.py"
    )
    """Longest text, prompt and answer together, that its cache is made for.

    缓存所容纳的最大文本长度，提示与回答合计。
    """

    inference_tp_size: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, runtime/hybrid_engine.py"
    )
    """Processes that share the model while it generates.

    生成时共同持有模型的进程数。
    """

    release_inference_cache: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/hybrid_engine.py"
    )
    """Free its cache while the model trains.

    训练时释放其缓存。
    """

    pin_parameters: bool = param(True, source="DeepSpeed 0.19.8, runtime/hybrid_engine.py")
    """Gather all parameters once for a generation under ZeRO-3 instead of layer by layer.

    ZeRO-3 下生成时一次收集全部参数，而不是逐层收集。
    """

    tp_gather_partition_size: int = param(
        8, at_least=1, source="DeepSpeed 0.19.8, runtime/hybrid_engine.py"
    )
    """Layers gathered together where inference_tp_size is above one.

    inference_tp_size 大于一时一起收集的层数。
    """

    enable_cuda_graph: bool = param(False, source="DeepSpeed 0.19.8, runtime/hybrid_engine.py")
    """Replay the kernels of a generation instead of launching them one by one.

    重放生成过程的算子，而不是逐个启动。
    """
