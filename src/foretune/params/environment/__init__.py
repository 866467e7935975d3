"""Environment variables that change a run: who reads them, and what they do.

CUDA_VISIBLE_DEVICES is a parameter of the run (``launch.visible_devices``). All others that a
script sets are passed on as they are (``launch.environment``).
"""

from __future__ import annotations

from .devices import Devices
from .hub import Hub
from .processes import Processes
from .tools import Tools


class Environment(Tools, Hub, Processes, Devices):
    """Environment variables that a script sets for the program that it starts.

    脚本为所启动的程序设置的环境变量。
    """
