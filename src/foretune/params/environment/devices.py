"""Environment variables about what computes, and how exactly."""

from typing import Annotated

from pydantic import Field

from ..declare import Section, param

Text = str | None


class Devices(Section):
    """Variables that decide what computes, and how exactly.

    决定由什么计算、计算得多精确的变量。
    """

    omp_num_threads: Annotated[Text, Field(alias="OMP_NUM_THREADS")] = param(
        None, matters=2, source="torch 2.13, distributed/run.py"
    )
    """Threads that a process computes with on the CPU. torchrun sets one each where there are
    several processes and none is written. Too many processes times threads make each other wait.

    每个进程在 CPU 上计算所用的线程数。有多个进程而没有写明时，torchrun 会给每个进程设为一个线程。进
    程数乘以线程数过大会互相等待。
    """

    mkl_num_threads: Annotated[Text, Field(alias="MKL_NUM_THREADS")] = param(
        None, source="torch 2.13"
    )
    """The same for Intel's library alone; there it counts before OMP_NUM_THREADS.

    仅对 Intel 的数学库起同样作用，在那里优先于 OMP_NUM_THREADS。
    """

    cuda_device_order: Annotated[Text, Field(alias="CUDA_DEVICE_ORDER")] = param(
        None, source="CUDA driver"
    )
    """How GPUs are numbered: by speed, or by their place in the machine as nvidia-smi shows them.
    With different GPUs the two differ, and CUDA_VISIBLE_DEVICES then means others.

    GPU 如何编号：按速度，或按 nvidia-smi 显示的插槽顺序。各 GPU 型号不同时两者不一
    致，CUDA_VISIBLE_DEVICES 指的就不是同一块。
    """

    cuda_launch_blocking: Annotated[Text, Field(alias="CUDA_LAUNCH_BLOCKING")] = param(
        None, matters=2, source="CUDA driver"
    )
    """Wait for every kernel to end before the next. An error then points at the line that caused
    it; everything gets slower. For debugging.

    每个算子结束后才启动下一个。报错能指到真正出错的那一行，但整体变慢。仅供调试。
    """

    torch_use_cuda_dsa: Annotated[Text, Field(alias="TORCH_USE_CUDA_DSA")] = param(
        None, source="torch 2.13"
    )
    """Asks for the assertions inside of kernels, which a build of torch without them does not have:
    no effect in the published builds.

    要求启用算子内部的断言；官方发布的 torch 不含这些断言，因此不起作用。
    """

    nvidia_tf32_override: Annotated[Text, Field(alias="NVIDIA_TF32_OVERRIDE")] = param(
        None, matters=2, source="NVIDIA cuBLAS, cuDNN"
    )
    """Zero turns TF32 off in NVIDIA's libraries, whatever the run asks for with tf32. Results get a
    little closer to float32, products on recent GPUs several times slower.

    取零时，无论训练如何设置 tf32，NVIDIA 库都不用 TF32。结果略接近 float32，在较新的 GPU 上矩阵乘法
    慢数倍。
    """

    cublas_workspace_config: Annotated[Text, Field(alias="CUBLAS_WORKSPACE_CONFIG")] = param(
        None, source="cuBLAS; transformers 5.23.0, trainer_utils.py"
    )
    """Fixed work space for cuBLAS, without which some products are not repeatable to the bit. Full
    determinism sets it by itself.

    为 cuBLAS 固定工作区；不设的话部分矩阵乘法无法逐位重现。打开完全确定性时会自动设置。
    """

    pytorch_cuda_alloc_conf: Annotated[Text, Field(alias="PYTORCH_CUDA_ALLOC_CONF")] = param(
        None, matters=2, source="torch 2.13"
    )
    """How torch keeps GPU memory, as pairs of names and values. Expandable segments help where
    memory is reserved but in pieces that fit nothing. PYTORCH_ALLOC_CONF is its newer name, and
    both are read.

    torch 管理显存的方式，写成“名称：值”。显存已预留却因碎片而不够用时，可启用可扩展段。新名称
    为 PYTORCH_ALLOC_CONF，两者都会读取。
    """

    pytorch_alloc_conf: Annotated[Text, Field(alias="PYTORCH_ALLOC_CONF")] = param(
        None, matters=2, source="torch 2.13"
    )
    """How torch keeps the memory of an accelerator, whichever it is; the newer name of
    PYTORCH_CUDA_ALLOC_CONF. Older versions of torch do not read it.

    torch 管理加速卡内存的方式，是 PYTORCH_CUDA_ALLOC_CONF 的新名称，适用于各种加速卡。较早
    的 torch 不读取它。
    """

    pytorch_no_cuda_memory_caching: Annotated[
        Text, Field(alias="PYTORCH_NO_CUDA_MEMORY_CACHING")
    ] = param(None, source="torch 2.13")
    """Give every freed block back at once. Much slower; for finding errors of memory.

    释放的显存立即归还，速度大幅下降，用于排查内存错误。
    """

    torch_logs: Annotated[Text, Field(alias="TORCH_LOGS")] = param(None, source="torch 2.13")
    """What torch.compile prints of its work.

    torch.compile 打印哪些内部信息。
    """

    torchdynamo_disable: Annotated[Text, Field(alias="TORCHDYNAMO_DISABLE")] = param(
        None, source="torch 2.13"
    )
    """Turns torch.compile off, whatever the run asks for.

    无论训练如何设置，都关闭 torch.compile。
    """

    torch_show_cpp_stacktraces: Annotated[Text, Field(alias="TORCH_SHOW_CPP_STACKTRACES")] = param(
        None, source="torch 2.13"
    )
    """Adds torch's own inner calls to its errors.

    在 torch 的报错中附上其内部调用栈。
    """

    torch_cuda_arch_list: Annotated[Text, Field(alias="TORCH_CUDA_ARCH_LIST")] = param(
        None, source="torch 2.13, utils/cpp_extension.py"
    )
    """Kinds of GPU that extensions are built for when they are compiled here. Without the right one
    their kernels do not run.

    现场编译扩展时面向哪些 GPU 架构。缺少相应架构，编译出的算子无法运行。
    """

    cuda_home: Annotated[Text, Field(alias="CUDA_HOME")] = param(
        None, source="torch 2.13, utils/cpp_extension.py"
    )
    """Folder of the CUDA compiler, which extensions such as DeepSpeed's are built with. Another
    version than torch's is refused.

    CUDA 编译器所在的文件夹，DeepSpeed 等扩展用它编译。与 torch 的 CUDA 版本不一致会被拒绝。
    """

    ascend_rt_visible_devices: Annotated[Text, Field(alias="ASCEND_RT_VISIBLE_DEVICES")] = param(
        None, matters=2, source="Ascend CANN"
    )
    """The Ascend NPUs that the processes may use; what CUDA_VISIBLE_DEVICES is for NVIDIA.

    允许进程使用哪些昇腾 NPU，相当于 NVIDIA 的 CUDA_VISIBLE_DEVICES。
    """

    rocr_visible_devices: Annotated[Text, Field(alias="ROCR_VISIBLE_DEVICES")] = param(
        None, source="AMD ROCm"
    )
    """The AMD GPUs that the processes may use, numbered by the driver below HIP.

    允许进程使用哪些 AMD GPU，由 HIP 之下的驱动编号。
    """

    hip_visible_devices: Annotated[Text, Field(alias="HIP_VISIBLE_DEVICES")] = param(
        None, source="AMD ROCm"
    )
    """The AMD GPUs that the processes may use.

    允许进程使用哪些 AMD GPU。
    """
