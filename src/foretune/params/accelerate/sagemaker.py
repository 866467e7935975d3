"""Accelerate's keys for Amazon SageMaker."""

from ..declare import Section, param


class SageMaker(Section):
    """Keys of accelerate's file for Amazon SageMaker, written at its top level where
    compute_environment says so.

    accelerate 配置文件中用于 Amazon SageMaker 的键，compute_environment 为它时写在最外层。
    """

    ec2_instance_type: str | None = param(
        None,
        when_unset=("needed", "必须写"),
        source="accelerate 1.15, commands/config/config_args.py",
    )
    """Kind of machine to rent.

    租用的机器类型。
    """

    iam_role_name: str | None = param(
        None,
        when_unset=("needed", "必须写"),
        source="accelerate 1.15, commands/config/config_args.py",
    )
    """Role of the AWS account that the job runs under.

    任务使用的 AWS 账户角色。
    """

    image_uri: str | None = param(
        None,
        when_unset=("chosen by the versions below", "按下面的版本选择"),
        source="accelerate 1.15, commands/config/config_args.py",
    )
    """Container image of your own.

    自定义的容器镜像。
    """

    profile: str | None = param(
        None,
        when_unset=("keys given as flags", "用命令行参数给出密钥"),
        source="accelerate 1.15, commands/config/config_args.py",
    )
    """Profile of the AWS command line with the keys.

    保存密钥的 AWS 命令行配置名。
    """

    region: str = param("us-east-1", source="accelerate 1.15, commands/config/config_args.py")
    """Region to rent in.

    租用所在的区域。
    """

    base_job_name: str = param(
        "accelerate-sagemaker-1", source="accelerate 1.15, commands/config/config_args.py"
    )
    """Beginning of the job's name.

    任务名称的前缀。
    """

    pytorch_version: str = param("1.10.2", source="accelerate 1.15, commands/config/config_args.py")
    """Version of PyTorch in the container. The default is years old.

    容器中 PyTorch 的版本。默认值是多年前的。
    """

    transformers_version: str = param(
        "4.17.0", source="accelerate 1.15, commands/config/config_args.py"
    )
    """Version of transformers in the container. The default is years old.

    容器中 transformers 的版本。默认值是多年前的。
    """

    py_version: str = param("py38", source="accelerate 1.15, commands/config/config_args.py")
    """Version of Python in the container.

    容器中 Python 的版本。
    """

    sagemaker_inputs_file: str | None = param(
        None,
        when_unset=("no inputs", "没有输入"),
        source="accelerate 1.15, commands/config/config_args.py",
    )
    """Table of the names and places of input data.

    输入数据名称与位置的表格文件。
    """

    sagemaker_metrics_file: str | None = param(
        None,
        when_unset=("no metrics", "没有指标"),
        source="accelerate 1.15, commands/config/config_args.py",
    )
    """Table of the names of metrics and the expressions that find them in the log.

    指标名称及其在日志中的匹配表达式的表格文件。
    """

    additional_args: dict[str, object] | None = param(
        None, when_unset=("none", "无"), source="accelerate 1.15, commands/config/config_args.py"
    )
    """Further arguments of SageMaker's estimator.

    传给 SageMaker estimator 的其他参数。
    """
