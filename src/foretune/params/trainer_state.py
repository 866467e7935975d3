"""trainer_state.json: what a Trainer knows of a run, in every checkpoint and at the end.

Source: transformers 5.23.0, trainer_callback.py (TrainerState) and trainer.py.
"""

from typing import Any

from .declare import Section, param


class TrainerState(Section):
    """What a Trainer knows of a run when it saves a checkpoint; from it a run is resumed.

    训练器保存检查点时所知道的训练状态，继续训练时从它恢复。
    """

    epoch: float | None = param(0.0, at_least=0, matters=2, unit="passes over the data")
    """How often the data has been gone through so far.

    到此为止数据已过的遍数。
    """

    global_step: int = param(0, at_least=0, matters=2, unit="steps")
    """Optimizer steps made so far; the number in the checkpoint's name.

    到此为止的优化器步数，也就是检查点名称中的数字。
    """

    max_steps: int = param(0, matters=2, unit="steps")
    """Optimizer steps of the whole run, whatever they were worked out from. A resumed run does not
    take it over: it works its own out.

    整个训练的优化器步数，无论由什么推算而来。继续训练时不会沿用它，而是重新计算。
    """

    num_train_epochs: int = param(0, at_least=0, matters=2, unit="passes over the data")
    """Passes over the data that were planned, a begun one counted whole.

    计划的训练遍数，不足一遍按一遍计。
    """

    train_batch_size: int | None = param(None, at_least=1, unit="examples")
    """Examples that one process takes at once: those of a device, times the GPUs that the process
    drives. Resuming takes it over where the batch was found by trying.

    一个进程一次取的样本数：单设备批量乘以该进程驱动的 GPU 数。批量是自动试出来的时候，继续训练会沿
    用它。
    """

    logging_steps: float = param(500.0, at_least=0, unit="steps")
    """Steps between two lines of the log.

    两条日志之间的步数。
    """

    eval_steps: float | None = param(500.0, at_least=0, unit="steps")
    """Steps between two evaluations. It stands here even where no evaluation was asked for: then no
    effect.

    两次评估之间的步数。即使没有要求评估也会写在这里，此时不起作用。
    """

    save_steps: float = param(500.0, at_least=0, unit="steps")
    """Steps between two checkpoints, where they are saved by steps.

    按步保存时，两个检查点之间的步数。
    """

    num_input_tokens_seen: int = param(0, at_least=0, unit="tokens")
    """Tokens that went through the model. Zero where the run was not asked to count them.

    送入模型的词元数。没有要求统计时为零。
    """

    total_flos: float = param(0.0, at_least=0)
    """Floating-point operations by a rule of thumb: a fixed number for each parameter and each
    token, padding included, the embedding left out.

    按经验公式估算的浮点运算数：每个参数（不含词嵌入）、每个词元（含填充）固定若干次。
    """

    log_history: tuple[dict[str, Any], ...] = param((), matters=2)
    """Everything that was logged since the run began, one entry for each time, with its step.

    训练开始以来记录的全部数值，每次一条，带有步数。
    """

    best_metric: float | None = param(None, matters=2)
    """The best value so far of the metric that chooses the best checkpoint. Empty where none is
    tracked.

    用于挑选最佳检查点的指标到目前为止的最好值。没有跟踪时为空。
    """

    best_global_step: int | None = param(None, at_least=0, unit="steps")
    """The step at which that value was reached. A checkpoint of that very step exists only where
    saving and evaluating fell together.

    达到该值时的步数。只有当时恰好也保存了检查点，才会有这一步的检查点。
    """

    best_model_checkpoint: str | None = param(None, matters=2)
    """Folder of the best checkpoint, as a path of the machine that trained. Loading the best at the
    end reads this path: it breaks where the folder was moved.

    最佳检查点所在文件夹，是训练机器上的路径。结束时加载最佳模型会读取该路径，文件夹移动后会失效。
    """

    is_local_process_zero: bool = param(True)
    """Whether the process that saved it is the first of its machine. No effect on reading.

    保存者是否为本机的首个进程。读取时不起作用。
    """

    is_world_process_zero: bool = param(True)
    """Whether the process that saved it is the first of all. No effect on reading.

    保存者是否为全部进程中的首个。读取时不起作用。
    """

    is_hyper_param_search: bool = param(False)
    """Whether the run was one trial of a search for good settings.

    是否为超参数搜索中的一次试验。
    """

    trial_name: str | None = param(None)
    """Name of that trial.

    该次试验的名称。
    """

    trial_params: dict[str, Any] | None = param(None)
    """The settings that the trial tried; they count before the arguments of the script.

    该次试验所用的设置，优先于脚本中的参数。
    """

    stateful_callbacks: dict[str, Any] | None = param(None)
    """What callbacks remember: an early stopper's patience, what the trainer was about to do.

    回调所记住的内容：早停已等待的次数、训练器接下来要做的事。
    """
