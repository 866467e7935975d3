"""Rules about the optimizer: what it does not read, and what its numbers do to the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import BAICHUAN2, CHATGLM2, DATA

OPTIMIZERS = "transformers 5.23.0, trainer_optimizer.py"

NO_BETAS = ("adafactor", "sgd", "adagrad", "rmsprop", "lomo", "adalomo", "grokadamw", "galore_")
"""How the names of optimizers begin that are not given adam_beta1 and the like."""

NO_ARGUMENTS = ("adamw_torch", "adamw_torch_fused", "adafactor", "lomo", "adalomo")
PROJECTING = ("galore_", "apollo_")
MUCH_DECAYED = 0.5
MEAN_RATE = {"constant": 1.0, "constant_with_warmup": 1.0}
"""The mean of the learning rate over a run as a share of its highest; half of it for the
schedules that fall."""


@rule(
    "O101",
    "optim.weight_decay",
    severity="warning",
    source="arXiv:1711.05101, algorithm 2: a step takes rate × decay of every weight",
    flags=Example(
        {
            **DATA,
            "method.prefix.length": 128,
            "optim.learning_rate": 2e-2,
            "optim.weight_decay": 0.1,
            "schedule.max_steps": 3000,
        }
    ),
    allows=Example(
        {
            **DATA,
            "method.name": "full",
            "optim.learning_rate": 2e-5,
            "optim.weight_decay": 0.1,
            "schedule.max_steps": 3000,
        }
    ),
)
def decay_alone_would_shrink_the_weights(it: Subject) -> Iterator[Found]:
    """AdamW takes the learning rate times the weight decay off each weight at every step, whatever
    its gradient. At the rates of P-Tuning v2 a decay that suits full tuning pulls the prefix to
    zero.

    AdamW 每一步都按“学习率 × 权重衰减”缩小每个权重，与梯度无关。用 P-Tuning v2 的学习率时，适合全参
    数训练的衰减会把前缀拉向零。
    """
    decay, made = it.get("optim.weight_decay"), it.forecast.steps
    steps = made.steps if made is not None else it.get("schedule.max_steps")
    if not (it.get("launch.train") and decay > 0 and steps and "adam" in it.get("optim.name")):
        return
    mean = MEAN_RATE.get(it.get("schedule.name"), 0.5) * it.get("optim.learning_rate")
    left = math.exp(-mean * decay * steps)
    if left < MUCH_DECAYED:
        yield it.found(
            "optim.weight_decay",
            both(
                f"weight_decay {decay:g} at a rate of {it.get('optim.learning_rate'):g} over "
                f"{steps:,} steps would leave {left:.1%} of a weight by itself",
                f"weight_decay {decay:g}、学习率 {it.get('optim.learning_rate'):g}、{steps:,} 步，"
                f"仅衰减就会使权重只剩 {left:.1%}",
            ),
            fix=both(
                "write weight_decay 0, as the authors' P-Tuning scripts do",
                "像官方 P-Tuning 脚本那样，weight_decay 取 0",
            ),
            change={"optim.weight_decay": 0.0},
        )


@rule(
    "O102",
    "optim.max_grad_norm",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1327",
    flags=Example({**DATA, "optim.max_grad_norm": 0.0}),
    allows=Example({**DATA, "model.fresh": True, "optim.max_grad_norm": 0.0}),
)
def gradients_are_not_clipped(it: Subject) -> Iterator[Found]:
    """A batch with a huge gradient (a very short answer, a broken row) is felt long after it. Plain
    gradient descent moves as far as the gradient is long; Adam moves by about three rates a step,
    but its mean square stays swollen for a thousand, in which hardly anything is learnt.

    不裁剪时，一个梯度特别大的批次（回答极短、数据损坏）影响会持续很久。普通梯度下降按梯度的长度移
    动；Adam 一步至多移动约三倍学习率，但它的均方会在大约一千步内居高不下，期间几乎学不到东西。
    """
    fresh = it.get("model.fresh")  # as the first trainings of Transformers did
    if it.get("launch.train") and not fresh and it.get("optim.max_grad_norm") == 0:
        yield it.found(
            "optim.max_grad_norm",
            both("max_grad_norm is 0: no clipping", "max_grad_norm 为 0：不裁剪梯度"),
            fix=both("1.0 is usual", "常用值为 1.0"),
            change={"optim.max_grad_norm": 1.0},
        )


@rule(
    "O103",
    "optim.beta1",
    "optim.beta2",
    "optim.epsilon",
    severity="warning",
    source=f"{OPTIMIZERS}: these optimizers are not given Adam's numbers",
    flags=Example({**DATA, "optim.name": "adafactor", "optim.beta2": 0.98}),
    allows=Example({**DATA, "optim.name": "adamw_torch", "optim.beta2": 0.98}),
)
def the_optimizer_reads_no_betas(it: Subject) -> Iterator[Found]:
    """adam_beta1, adam_beta2 and adam_epsilon are handed to the Adam kinds alone; another optimizer
    takes its own numbers through optim_args.

    adam_beta1、adam_beta2 和 adam_epsilon 只传给 Adam 一类优化器；其他优化器的参数写
    在 optim_args 里。
    """
    name = it.get("optim.name")
    paths = [one for one in ("optim.beta1", "optim.beta2", "optim.epsilon") if it.written(one)]
    if name.startswith(NO_BETAS) and paths:
        names = sentence_list(path.replace("optim.", "adam_") for path in paths)
        yield it.found(
            paths[0],
            both(
                f"{names} beside optim {name}: no effect",
                f"优化器为 {name}，{names} 不起作用",
            ),
            fix=both(
                "leave them out, or write optim adamw_torch",
                "去掉它们，或改用 optim adamw_torch",
            ),
        )


@rule(
    "O104",
    "optim.arguments",
    severity="warning",
    source=f"{OPTIMIZERS}: torch's AdamW is given no optim_args",
    flags=Example({**DATA, "optim.arguments": "weight_decay=0.1"}),
    allows=Example({**DATA, "optim.name": "sgd", "optim.arguments": "momentum=0.9"}),
)
def the_optimizer_takes_no_arguments(it: Subject) -> Iterator[Found]:
    """optim_args is read by the optimizers that have settings of their own; plain AdamW takes its
    numbers from adam_beta1, adam_beta2, adam_epsilon and weight_decay.

    optim_args 只被那些有自己设置的优化器读取；普通 AdamW 的参数来
    自 adam_beta1、adam_beta2、adam_epsilon 和 weight_decay。
    """
    name = it.get("optim.name")
    if it.get("optim.arguments") and name in NO_ARGUMENTS:
        yield it.found(
            "optim.arguments",
            both(
                f"optim_args beside optim {name}: no effect",
                f"优化器为 {name}，optim_args 不起作用",
            ),
            fix=both(
                "write the numbers under their own flags, and leave optim_args out",
                "用各自的参数来写，去掉 optim_args",
            ),
        )


@rule(
    "O105",
    "optim.target_modules",
    "optim.name",
    severity="error",
    source=f"{OPTIMIZERS}: _setup_low_rank_optimizer refuses to start without them",
    flags=Example({**DATA, "method.name": "full", "optim.name": "galore_adamw"}),
    allows=Example(
        {
            **DATA,
            "method.name": "full",
            "optim.name": "galore_adamw",
            "optim.target_modules": "all-linear",
        }
    ),
)
def a_projecting_optimizer_is_given_no_layers(it: Subject) -> Iterator[Found]:
    """GaLore and APOLLO project the gradients of chosen linear layers; transformers refuses to make
    them without the names of those layers.

    GaLore 和 APOLLO 对选定线性层的梯度做低秩投影；没有写出这些层，transformers 会拒绝创建优化器。
    """
    if it.get("optim.name").startswith(PROJECTING) and not it.get("optim.target_modules"):
        yield it.found(
            "optim.name",
            both(
                f"optim {it.get('optim.name')} without optim_target_modules",
                f"optim 为 {it.get('optim.name')}，但没有写 optim_target_modules",
            ),
            fix=both(
                "write optim_target_modules all-linear", "写上 optim_target_modules all-linear"
            ),
        )


@rule(
    "O106",
    "optim.target_modules",
    severity="warning",
    source=f"{OPTIMIZERS}: GaLore and APOLLO alone read them",
    flags=Example({**DATA, "method.name": "lora", "optim.target_modules": ("query_key_value",)}),
    allows=Example(
        {
            **DATA,
            "method.name": "full",
            "optim.name": "apollo_adamw",
            "optim.target_modules": "all-linear",
        }
    ),
)
def the_optimizer_reads_no_target_modules(it: Subject) -> Iterator[Found]:
    """optim_target_modules names the layers that GaLore and APOLLO project. It is not LoRA's
    target_modules, and no other optimizer reads it.

    optim_target_modules 指定 GaLore 和 APOLLO 投影的层；它不是 LoRA 的 target_modules，其他优化器都
    不读取它。
    """
    name = it.get("optim.name")
    if it.get("optim.target_modules") and not name.startswith(PROJECTING):
        yield it.found(
            "optim.target_modules",
            both(
                f"optim_target_modules beside optim {name}: no effect",
                f"优化器为 {name}，optim_target_modules 不起作用",
            ),
            fix=both(
                "leave it out; LoRA's layers are named by lora_target",
                "去掉它；LoRA 的层用 lora_target 指定",
            ),
        )


@rule(
    "O107",
    "optim.name",
    "batch.accumulation",
    severity="error",
    source=f"{OPTIMIZERS}: layerwise optimizers do not support gradient accumulation",
    flags=Example(
        {
            **DATA,
            "method.name": "full",
            "optim.name": "galore_adamw_layerwise",
            "optim.target_modules": "all-linear",
            "batch.accumulation": 4,
        }
    ),
    allows=Example(
        {
            **DATA,
            "method.name": "full",
            "optim.name": "galore_adamw_layerwise",
            "optim.target_modules": "all-linear",
        }
    ),
)
def a_layerwise_optimizer_is_to_accumulate(it: Subject) -> Iterator[Found]:
    """A layerwise optimizer updates each layer in the middle of the backward pass and throws its
    gradient away, so nothing can be accumulated; transformers refuses it.

    逐层优化器在反向传播途中就更新每一层并丢掉梯度，因此无法累积；transformers 会拒绝。
    """
    name, count = it.get("optim.name"), it.get("batch.accumulation")
    if name.endswith("layerwise") and count > 1:
        yield it.found(
            "batch.accumulation",
            both(
                f"optim {name} with gradient_accumulation_steps {count}",
                f"optim 为 {name}，而 gradient_accumulation_steps 为 {count}",
            ),
            fix=both(
                "write gradient_accumulation_steps 1 and a larger micro batch, or the optimizer "
                "without layerwise",
                "把 gradient_accumulation_steps 设为 1 并增大微批次，或使用不带 layerwise 的优化器",
            ),
        )


@rule(
    "O108",
    "optim.name",
    severity="note",
    source=f"{OPTIMIZERS}: these are classes of bitsandbytes",
    flags=Example({**DATA, "optim.name": "paged_adamw_8bit"}),
    allows=Example({**DATA, "optim.name": "adamw_torch_fused"}),
)
def the_optimizer_is_of_another_package(it: Subject) -> Iterator[Found]:
    """The 8-bit and paged optimizers are part of bitsandbytes, which needs a GPU and is not
    installed with foretune or transformers; the run stops when the optimizer is made.

    8 位和分页优化器来自 bitsandbytes，它需要 GPU，并且不会随 foretune 或 transformers 安装；缺少它
    时，创建优化器就会报错。
    """
    name = it.get("optim.name")
    if it.get("launch.train") and ("8bit" in name or "paged" in name or "bnb" in name):
        bare = it.get("launch.use_cpu")
        yield it.found(
            "optim.name",
            both(
                f"optim {name} on a CPU" if bare else f"optim {name} is one of bitsandbytes'",
                f"在 CPU 上使用 optim {name}" if bare else f"optim {name} 来自 bitsandbytes",
            ),
            fix=both(
                "pip install bitsandbytes; with few trained parameters (a prefix, LoRA) "
                "adamw_torch takes hardly more memory",
                "先 pip install bitsandbytes；可训练参数很少时（前缀、LoRA），adamw_torch 占的显存"
                "也差不多",
            ),
            severity="error" if bare else "note",
        )


@rule(
    "O109",
    "optim.label_smoothing",
    severity="warning",
    source="transformers 5.23.0, trainer.py: compute_loss shifts labels by the class name",
    flags=Example({**DATA, "optim.label_smoothing": 0.1}, model=CHATGLM2),
    allows=Example({**DATA, "optim.label_smoothing": 0.0}, model=CHATGLM2),
)
def labels_are_smoothed_without_the_shift(it: Subject) -> Iterator[Found]:
    """With label smoothing transformers computes the loss itself, and moves the labels by one place
    only for classes in its own list. ChatGLM and Baichuan are not in it: their scripts then train
    each place to repeat its own token. foretune's trainer shifts them.

    打开标签平滑后，损失由 transformers 自己计算，而它只对名单中的类把标签移动一
    位。ChatGLM 和 Baichuan 不在其中：用它们的脚本训练，模型学到的是重复当前词元。foretune 的训练器
    会正确移位。
    """
    unknown = it.get("config.model_type") in ("chatglm", "baichuan")
    if it.get("launch.train") and it.get("optim.label_smoothing") > 0 and unknown:
        value = it.get("optim.label_smoothing")
        yield it.found(
            "optim.label_smoothing",
            both(
                f"label_smoothing_factor {value:g} with a class that transformers does not know",
                f"label_smoothing_factor 为 {value:g}，而 transformers 不认识这个模型类",
            ),
            fix=both(
                "leave it out of the authors' scripts; with `foretune train` it is safe",
                "在官方脚本中去掉它；用 `foretune train` 则没有问题",
            ),
        )


@rule(
    "O110",
    "optim.epsilon",
    severity="warning",
    source="arXiv:1412.6980, algorithm 1: a step divides by the root plus epsilon",
    flags=Example({**DATA, "optim.epsilon": 0.0}),
    allows=Example({**DATA, "optim.epsilon": 1e-8}),
)
def adam_divides_by_zero(it: Subject) -> Iterator[Found]:
    """A weight whose gradient has been zero so far (an embedding row that no text has used) has a
    mean square of zero: without epsilon the step is 0 / 0, and the weight NaN.

    梯度一直为零的权重（例如没有文本用到的词嵌入行），其均方也为零：没有 epsilon，步长就是 0 / 0，权
    重变成 NaN。
    """
    if it.get("launch.train") and it.get("optim.epsilon") == 0 and "adam" in it.get("optim.name"):
        yield it.found(
            "optim.epsilon",
            both("adam_epsilon is 0", "adam_epsilon 为 0"),
            fix=both("1e-8 is usual", "常用值为 1e-8"),
            change={"optim.epsilon": 1e-8},
        )


@rule(
    "O111",
    "trainer.use_cache",
    severity="warning",
    source="transformers 5.23.0, modeling_layers.py: a checkpointed layer turns use_cache off",
    flags=Example({**DATA, "trainer.use_cache": True, "batch.gradient_checkpointing": True}),
    allows=Example({**DATA, "batch.gradient_checkpointing": True}),
)
def a_cache_is_kept_while_training(it: Subject) -> Iterator[Found]:
    """Keys and values are cached for generation. The backward pass has no use for them, and
    gradient checkpointing runs each layer twice, which a cache would count twice: models turn it
    off there, and elsewhere it only takes memory.

    键值缓存是为生成准备的，反向传播用不到。梯度检查点会把每一层运行两遍，缓存就会重复，因此模型会自
    动关掉它；其他情况下它只是白占显存。
    """
    if it.get("launch.train") and it.get("trainer.use_cache"):
        yield it.found(
            "trainer.use_cache",
            both("use_cache is on in training", "训练时打开了 use_cache"),
            fix=both(
                "leave it out; generation has its cache all the same",
                "去掉它；生成时照样会有缓存",
            ),
            change={"trainer.use_cache": False},
        )


@rule(
    "O112",
    "trainer.neftune_noise_alpha",
    "method.name",
    severity="note",
    source="arXiv:2310.05914 sec. 4: measured with full tuning and LoRA",
    flags=Example({**DATA, "method.prefix.length": 128, "trainer.neftune_noise_alpha": 5.0}),
    allows=Example(
        {**DATA, "method.name": "lora", "trainer.neftune_noise_alpha": 5.0}, model=BAICHUAN2
    ),
)
def noise_is_added_beside_a_prefix(it: Subject) -> Iterator[Found]:
    """NEFTune disturbs the embeddings of the text. A prefix stands in front of every layer's keys
    and gets no noise itself; that noise helps it nobody has shown.

    NEFTune 给文本的词嵌入加噪声。前缀位于每一层的键值之前，本身不受噪声影响；没有结果表明这对它有帮
    助。
    """
    alpha = it.get("trainer.neftune_noise_alpha")
    if it.get("launch.train") and alpha and it.get("method.name") == "ptuning":
        yield it.found(
            "trainer.neftune_noise_alpha",
            both(
                f"neftune_noise_alpha {alpha:g} with P-Tuning v2",
                f"P-Tuning v2 使用 neftune_noise_alpha {alpha:g}",
            ),
            fix=both(
                "leave it out, or compare a run without it",
                "去掉它，或与不加噪声的训练对比",
            ),
        )
