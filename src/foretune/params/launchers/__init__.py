"""What only the command lines of torchrun and deepspeed have; those of accelerate are in
``accelerate``, and what all launchers share is in ``launch``.
"""

from ..declare import Section, param
from .deepspeed import DeepSpeedCommand
from .torchrun import Torchrun


class Launchers(Section):
    """Options of the programs that start the processes.

    启动各进程的程序的选项。
    """

    torchrun: Torchrun = param(Torchrun.model_construct())
    deepspeed: DeepSpeedCommand = param(DeepSpeedCommand.model_construct())
