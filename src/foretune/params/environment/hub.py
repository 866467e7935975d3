"""Environment variables about files from the hub, and what programs say."""

from typing import Annotated

from pydantic import Field

from ..declare import Section, param

Text = str | None


class Hub(Section):
    """Variables about files from the hub, and about what transformers says.

    关于 hub 文件以及 transformers 输出信息的变量。
    """

    hf_home: Annotated[Text, Field(alias="HF_HOME")] = param(
        None, matters=2, source="huggingface_hub, constants.py"
    )
    """Folder for models, data sets and the token of the hub. On a small home disk the first
    download fills it.

    存放 hub 模型、数据集和访问令牌的文件夹。主目录磁盘小的话，第一次下载就会占满。
    """

    hf_hub_cache: Annotated[Text, Field(alias="HF_HUB_CACHE")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """Folder for downloaded models alone.

    仅存放下载模型的文件夹。
    """

    huggingface_hub_cache: Annotated[Text, Field(alias="HUGGINGFACE_HUB_CACHE")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """The older name of HF_HUB_CACHE.

    HF_HUB_CACHE 的旧名称。
    """

    transformers_cache: Annotated[Text, Field(alias="TRANSFORMERS_CACHE")] = param(
        None, source="transformers 4"
    )
    """The older name of HF_HUB_CACHE. transformers 5 does not read it: no effect there.

    HF_HUB_CACHE 的旧名称。transformers 5 不再读取，不起作用。
    """

    hf_datasets_cache: Annotated[Text, Field(alias="HF_DATASETS_CACHE")] = param(
        None, source="datasets"
    )
    """Folder for prepared data sets.

    存放处理后数据集的文件夹。
    """

    hf_endpoint: Annotated[Text, Field(alias="HF_ENDPOINT")] = param(
        None, matters=2, source="huggingface_hub, constants.py"
    )
    """Address that files are fetched from instead of the hub's own: a mirror. It must be set before
    the program starts.

    代替官方 hub 的下载地址，即镜像站。必须在程序启动之前设置。
    """

    hf_hub_offline: Annotated[Text, Field(alias="HF_HUB_OFFLINE")] = param(
        None, matters=2, source="huggingface_hub, constants.py"
    )
    """Ask the hub for nothing; only what is in the cache is found.

    不访问 hub，只使用缓存中已有的文件。
    """

    transformers_offline: Annotated[Text, Field(alias="TRANSFORMERS_OFFLINE")] = param(
        None, matters=2, source="huggingface_hub, constants.py"
    )
    """The older name of HF_HUB_OFFLINE, read where that is not set.

    HF_HUB_OFFLINE 的旧名称，后者未设置时读取。
    """

    hf_datasets_offline: Annotated[Text, Field(alias="HF_DATASETS_OFFLINE")] = param(
        None, source="datasets"
    )
    """Ask the hub for no data sets.

    不从 hub 获取数据集。
    """

    hf_token: Annotated[Text, Field(alias="HF_TOKEN")] = param(
        None, matters=2, source="huggingface_hub, constants.py", secret=True
    )
    """Access token of the hub, for models that ask for consent. In a script that is shared it is
    given away.

    hub 的访问令牌，用于需要授权的模型。写在共享的脚本里就等于泄露。
    """

    hugging_face_hub_token: Annotated[Text, Field(alias="HUGGING_FACE_HUB_TOKEN")] = param(
        None, source="huggingface_hub, constants.py", secret=True
    )
    """The older name of HF_TOKEN.

    HF_TOKEN 的旧名称。
    """

    hf_hub_enable_hf_transfer: Annotated[Text, Field(alias="HF_HUB_ENABLE_HF_TRANSFER")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """Asked for a faster way to download, which is gone: it only warns now. HF_XET_HIGH_PERFORMANCE
    took its place.

    曾用于启用更快的下载方式，现已取消，只会给出警告；由 HF_XET_HIGH_PERFORMANCE 取代。
    """

    hf_xet_high_performance: Annotated[Text, Field(alias="HF_XET_HIGH_PERFORMANCE")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """Download with as many connections as the machine allows.

    用机器允许的尽可能多的连接下载。
    """

    hf_hub_disable_xet: Annotated[Text, Field(alias="HF_HUB_DISABLE_XET")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """Download in the older way, where the newer one fails behind a proxy.

    改用旧的下载方式；新方式在代理之后失败时使用。
    """

    hf_hub_download_timeout: Annotated[Text, Field(alias="HF_HUB_DOWNLOAD_TIMEOUT")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """Seconds that a download waits for an answer.

    下载等待应答的秒数。
    """

    hf_hub_disable_progress_bars: Annotated[Text, Field(alias="HF_HUB_DISABLE_PROGRESS_BARS")] = (
        param(None, source="huggingface_hub, constants.py")
    )
    """Show no bars while downloading.

    下载时不显示进度条。
    """

    hf_hub_disable_telemetry: Annotated[Text, Field(alias="HF_HUB_DISABLE_TELEMETRY")] = param(
        None, source="huggingface_hub, constants.py"
    )
    """Send no figures of use to the hub.

    不向 hub 发送使用统计。
    """

    tokenizers_parallelism: Annotated[Text, Field(alias="TOKENIZERS_PARALLELISM")] = param(
        None, matters=2, source="tokenizers"
    )
    """Whether a tokenizer in Rust uses several threads. Where workers are forked after it was used,
    it warns and turns them off: setting it to false silences that and changes no token.

    Rust 分词器是否使用多线程。先用过分词器再派生子进程时，它会警告并关闭多线程；设为 false 可消除警
    告，不改变任何词元。
    """

    transformers_verbosity: Annotated[Text, Field(alias="TRANSFORMERS_VERBOSITY")] = param(
        None, source="transformers 5.23.0, utils/logging.py"
    )
    """How much transformers says.

    transformers 输出信息的详细程度。
    """

    transformers_no_advisory_warnings: Annotated[
        Text, Field(alias="TRANSFORMERS_NO_ADVISORY_WARNINGS")
    ] = param(None, source="transformers 5.23.0, utils/logging.py")
    """Leave out warnings that give advice.

    不显示建议性的警告。
    """

    pythonhashseed: Annotated[Text, Field(alias="PYTHONHASHSEED")] = param(None, source="Python")
    """Start of Python's own hashes. A run whose order of names depends on them is repeatable only
    with it set before Python starts.

    Python 哈希的随机起点。若结果依赖于哈希顺序，只有在启动 Python 之前设置它才能重现。
    """

    pythonunbuffered: Annotated[Text, Field(alias="PYTHONUNBUFFERED")] = param(
        None, source="Python"
    )
    """Print every line at once, so that a log in a file is not behind the run.

    立即输出每一行，使写入文件的日志不滞后。
    """

    pythonpath: Annotated[Text, Field(alias="PYTHONPATH")] = param(None, source="Python")
    """Folders in which Python looks for modules first.

    Python 优先查找模块的文件夹。
    """

    ld_library_path: Annotated[Text, Field(alias="LD_LIBRARY_PATH")] = param(None, source="Linux")
    """Folders in which libraries are looked for first. Another CUDA in it than torch's own is a
    common cause of errors at the start.

    优先查找动态库的文件夹。其中若有与 torch 不一致的 CUDA，常在启动时报错。
    """

    hf_token_path: Annotated[Text, Field(alias="HF_TOKEN_PATH")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """File in which `hf auth login` left the token.

    `hf auth login` 保存令牌的文件。
    """

    hf_hub_disable_implicit_token: Annotated[Text, Field(alias="HF_HUB_DISABLE_IMPLICIT_TOKEN")] = (
        param(None, source="huggingface_hub 1.32, constants.py")
    )
    """Send the stored token only where a program asks for it; private models then fail to load.

    只有程序明确要求时才发送已保存的令牌；私有模型会因此加载失败。
    """

    hf_modules_cache: Annotated[Text, Field(alias="HF_MODULES_CACHE")] = param(
        None, source="transformers 5.23.0, utils/hub.py"
    )
    """Folder for code that comes with a model. foretune runs none.

    存放模型自带代码的文件夹。foretune 不运行这类代码。
    """

    hf_xet_cache: Annotated[Text, Field(alias="HF_XET_CACHE")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Folder for pieces of files that were downloaded.

    存放已下载文件分块的文件夹。
    """

    hf_assets_cache: Annotated[Text, Field(alias="HF_ASSETS_CACHE")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Folder for files that libraries on top of the hub keep.

    供上层库存放文件的文件夹。
    """

    xdg_cache_home: Annotated[Text, Field(alias="XDG_CACHE_HOME")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Folder under which every cache lies that has no variable of its own.

    没有单独设置变量的各种缓存都放在该文件夹下。
    """

    hf_hub_etag_timeout: Annotated[Text, Field(alias="HF_HUB_ETAG_TIMEOUT")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Seconds to wait for the hub to say which version of a file it has; beyond them the cached one
    is taken.

    等待 hub 返回文件版本的秒数；超时则使用缓存中的文件。
    """

    hf_hub_disable_symlinks: Annotated[Text, Field(alias="HF_HUB_DISABLE_SYMLINKS")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Copy files into a snapshot instead of linking them: versions of one model then take the disk
    once each.

    在快照中复制文件而不用符号链接；同一模型的每个版本都会各占一份磁盘空间。
    """

    hf_hub_disable_symlinks_warning: Annotated[
        Text, Field(alias="HF_HUB_DISABLE_SYMLINKS_WARNING")
    ] = param(None, source="huggingface_hub 1.32, constants.py")
    """Do not warn where the disk has no links.

    磁盘不支持符号链接时不再警告。
    """

    hf_hub_disable_shared_blobs: Annotated[Text, Field(alias="HF_HUB_DISABLE_SHARED_BLOBS")] = (
        param(None, source="huggingface_hub 1.32, constants.py")
    )
    """Keep the files of every repository apart, even where they are equal.

    各仓库的文件分开存放，即使内容相同。
    """

    hf_hub_disable_experimental_warning: Annotated[
        Text, Field(alias="HF_HUB_DISABLE_EXPERIMENTAL_WARNING")
    ] = param(None, source="huggingface_hub 1.32, constants.py")
    """Do not warn of features that may change.

    使用实验性功能时不再警告。
    """

    hf_hub_disable_update_check: Annotated[Text, Field(alias="HF_HUB_DISABLE_UPDATE_CHECK")] = (
        param(None, source="huggingface_hub 1.32, constants.py")
    )
    """Do not ask whether there is a newer version of the client.

    不检查客户端是否有新版本。
    """

    hf_debug: Annotated[Text, Field(alias="HF_DEBUG")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Log every request to the hub.

    记录对 hub 的每个请求。
    """

    disable_telemetry: Annotated[Text, Field(alias="DISABLE_TELEMETRY")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """Tell the hub nothing of what is used.

    不向 hub 报告使用情况。
    """

    do_not_track: Annotated[Text, Field(alias="DO_NOT_TRACK")] = param(
        None, source="huggingface_hub 1.32, constants.py"
    )
    """The same, as other programs read it, too.

    同上，其他程序也读取它。
    """
