"""What the views of a forecast say, part by part, in English or Chinese; each view lays it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

from ...params.declare import Words
from ...text import in_language, number, sentence_list, size
from ..counts import blocks, embedding, last_norm, output_layer
from ..evidence import behind, method_of
from ..forecast import Forecast, training_log
from ..memory.part_names import PARTS
from ..memory.peak import Memory, Parts
from ..parameters import added_weights
from ..remarks import remarks
from ..setup import Setup
from ..step_time import tokens_per_second, utilisation
from ..verdict import SAID
from .quantities import duration, hours, operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One length of a chart, in bytes or seconds."""

    label: str
    value: float
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lengths beside each other; ``limit`` is a line that they should stay under."""

    title: str
    bars: tuple[Bar, ...]
    limit: Bar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the forecast."""

    name: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    charts: tuple[Chart, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    """Steps and learning rates."""
    remarks: tuple[str, ...] = ()


MOMENTS = {
    "load": Words("loading", "加载"),
    "loss": Words("step: loss", "一步：损失"),
    "last block": Words("step: last block back", "一步：末块反向"),
    "first block": Words("step: first block back", "一步：首块反向"),
    "embedding": Words("step: embedding back", "一步：词嵌入反向"),
    "optimizer": Words("step: optimizer", "一步：优化器"),
    "evaluate": Words("evaluation", "评估"),
    "save": Words("saving", "保存"),
}
WORK = {
    "products": Words("matrix products", "矩阵乘法"),
    "attention": Words("attention", "注意力"),
    "traffic": Words("between the products", "乘法之间的读写"),
    "starting": Words("starting kernels", "启动算子"),
    "communication": Words("sending, not hidden", "未被掩盖的通信"),
    "waiting": Words("pipeline idle", "流水线空闲"),
    "optimizer": Words("optimizer", "优化器"),
}
CONVENTIONS = {
    "exact": Words("exact (FlopCounterMode)", "精确（FlopCounterMode）"),
    "deepspeed": Words("DeepSpeed's flops profiler", "DeepSpeed flops profiler"),
    "model": Words("model, attention in full", "模型，注意力全计"),
    "model_causal": Words("model, attention halved (causal)", "模型，注意力减半（因果）"),
    "hardware": Words("model with recomputation (HFU)", "模型加重算（HFU）"),
}


def sections(forecast: Forecast, language: str = "en", *, modules: bool = False) -> list[Section]:
    """Every part of which something is known; ``modules``: every weight matrix by its name."""
    made = [
        _parameters(forecast, language, modules),
        _rows(forecast, language),
        _memory(forecast, language),
        _flops(forecast, language),
        _time(forecast, language),
        _events(forecast, language),
        _disk(forecast, language),
        _assumed(forecast, language),
    ]
    return [one for one in made if one is not None]


class Say:
    """English or Chinese, whichever is asked for."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, english: str, chinese: str) -> str:
        return chinese if self.language == "zh" else english

    def words(self, words: Words) -> str:
        return words.in_language(self.language)


def log_and_remarks(forecast: Forecast, language: str) -> Iterator[str]:
    """The trainer's own block, and what it means."""
    if forecast.steps is not None:
        yield training_log(forecast)
    for remark in remarks(forecast):
        yield f"  {in_language(remark, language)}"


def _parameters(forecast: Forecast, language: str, modules: bool) -> Section | None:
    say, shape = Say(language), forecast.shape
    if shape is None or forecast.total is None:
        return None
    added = added_weights(forecast.run, shape)
    parts = {
        say("embedding", "词嵌入"): embedding(shape),
        say(f"{shape.layers} blocks", f"{shape.layers} 个块"): blocks(shape),
        say("output layer", "输出层"): output_layer(shape),
        say("norms and the rest", "归一化及其余"): last_norm(shape),
        say("added", "附加"): sum(one.num_parameters for one in added),
    }
    return Section(
        name="parameters",
        title=say("parameters", "参数"),
        lines=(
            (say("in all", "合计"), f"{forecast.total:,}"),
            (say("trained", "参与训练"), f"{forecast.trainable:,}"),
            *((label, f"{count:,}") for label, count in parts.items() if count),
            *(module_lines(forecast, language) if modules else ()),
        ),
    )


def module_lines(forecast: Forecast, language: str) -> Iterator[tuple[str, str]]:
    """Every weight by its name: its size, how many there are, whether it trains."""
    say, shape = Say(language), forecast.shape
    if shape is None:
        return
    added = added_weights(forecast.run, shape)
    for one in (*shape.weights, *added):
        trains = one in added or not added
        copies = f"{one.copies} × " if one.copies > 1 else ""
        sizes = " × ".join(map(str, one.shape))
        marks = say("trains", "参与训练") if trains else say("frozen", "冻结")
        tied = say(", tied", "，绑定") if one.tied else ""
        yield one.name, f"{copies}({sizes}) = {one.num_parameters:,} · {marks}{tied}"


def _rows(forecast: Forecast, language: str) -> Section | None:
    say, usual, length = Say(language), forecast.usual, forecast.length
    if usual is None or not forecast.run.launch.train:
        return None
    of_row = _row_tokens(usual, say)
    longest = None if forecast.setup is None else _row_tokens(forecast.setup, say)
    of_all = f"({usual.source:,} + {usual.length:,})" if usual.source else f"{usual.length:,}"
    lines = [
        (
            say("tokens of a row", "每行词元"),
            of_row
            + (
                say(" (longest batch ", "（最长批次 ") + longest + say(")", "）")
                if longest not in (None, of_row)
                else ""
            ),
        ),
        (
            say("tokens of a step", "每步词元"),
            f"{number(usual.all_tokens)} = {usual.micro} × {of_all} × "
            f"{usual.accumulation} × {usual.parallel.data}",
        ),
    ]
    if length is not None:
        lines.append((say("steps", "步数"), f"{length.steps:,}"))
        lines.append(
            (
                say("tokens in all", "全程词元"),
                say("about ", "约 ") + number(round(usual.all_tokens * length.steps)),
            )
        )
    return Section(name="steps", title=say("steps and tokens", "步数与词元"), lines=tuple(lines))


def _row_tokens(setup: Setup, say: Say) -> str:
    """Tokens of a row, those that an encoder reads apart."""
    if not setup.source:
        return f"{setup.length:,}"
    return f"{setup.source:,}{say(' of the source', '（源）')} + {setup.length:,}" + say(
        " of the target", "（目标）"
    )


def _of(forecast: Forecast) -> tuple[str, str | None, int | None]:
    """What published runs are looked up by: method, family, generation of the device."""
    hardware = forecast.hardware
    generation = None if hardware is None else hardware.generation
    return method_of(forecast.run), forecast.family, generation


def _memory(forecast: Forecast, language: str) -> Section | None:
    say, held, fit = Say(language), forecast.memory, forecast.fit
    if held is None:
        return None
    trains = forecast.run.launch.train
    on_cpu = forecast.hardware is not None and forecast.hardware.device.is_cpu
    lines = [(say("allocated (tensors)", "已分配（张量）"), size(held.allocated))]
    if not on_cpu:
        lines += [
            (say("reserved (allocator)", "已保留（分配器）"), size(held.reserved)),
            (say("nvidia-smi", "nvidia-smi"), size(held.used)),
        ]
    if fit is not None and forecast.hardware is not None:
        verdict = say.words(SAID[fit.verdict])
        least, most = size(fit.low), size(fit.high)
        lines.append(
            (
                forecast.hardware.device.name,
                say(
                    f"{verdict}: needs {least} to {most}, a process can have {size(fit.limit)}",
                    f"{verdict}：需要 {least} 至 {most}，一个进程可用 {size(fit.limit)}",
                ),
            )
        )
    proof = say.words(behind("memory", *_of(forecast)))
    path = (
        say("from a traced step", "由追踪的一步得出")
        if forecast.traced
        else say("by formula", "按公式")
    )
    return Section(
        name="memory",
        title=say("memory of one device", "单个设备的显存"),
        lines=tuple(lines),
        charts=(
            Chart(
                title=say("at its peak, by part", "峰值时各部分"),
                bars=tuple(_bars(held, say, on_cpu=on_cpu)),
            ),
            Chart(
                title=say("over the run, by phase", "各阶段"),
                bars=tuple(timeline(held, say, trains=trains)),
                limit=None
                if fit is None
                else Bar(label=say("limit", "上限"), value=fit.limit, shown=size(fit.limit)),
            ),
        ),
        remarks=(
            say("the process holds Python and its libraries beside", "进程另含 Python 及各库的内存")
            if on_cpu
            else f"{path}; {proof}" if language == "en" else f"{path}；{proof}",
        ),
    )  # fmt: skip


def _bars(held: Memory, say: Say, *, on_cpu: bool) -> Iterator[Bar]:
    parts = max(held.phases.values(), key=lambda one: one.total)
    for one in fields(Parts):
        value = getattr(parts, one.name)
        if value:
            yield Bar(label=say.words(PARTS[one.name]), value=value, shown=size(value))
    for name in () if on_cpu else ("fragmentation", "context"):
        value = getattr(held, name)
        if value:
            yield Bar(label=say.words(PARTS[name]), value=value, shown=size(value))


def timeline(held: Memory, say: Say, *, trains: bool) -> Iterator[Bar]:
    """What tensors take from loading to saving."""
    seen = {"load": held.load.total}
    if trains:
        seen |= {name: parts.total for name, parts in held.moments.items()}
    seen |= {"evaluate": held.evaluate.total, "save": held.save.total}
    for name, value in seen.items():
        words = MOMENTS.get(name)
        yield Bar(label=say.words(words) if words else name, value=value, shown=size(value))


def _flops(forecast: Forecast, language: str) -> Section | None:
    say, found, usual = Say(language), forecast.flops, forecast.usual
    if found is None or usual is None:
        return None
    lines: list[tuple[str, str]] = []
    for name, value in asdict(found).items():
        a_token = operations(value / usual.all_tokens)
        told = say(f"{operations(value)} a step, {a_token} a token", f"每步 {operations(value)}，"
                   f"每词元 {a_token}")  # fmt: skip
        if forecast.length is not None:
            in_all = operations(value * forecast.length.steps)
            told += say(f", {in_all} in all", f"，全程 {in_all}")
        words = CONVENTIONS.get(name)
        lines.append((say.words(words) if words else name, told))
    return Section(
        name="flops",
        title=say("operations, by convention", "运算量（按各种计法）"),
        lines=tuple(lines),
    )


def _time(forecast: Forecast, language: str) -> Section | None:
    say, time, usual, hardware = Say(language), forecast.time, forecast.usual, forecast.hardware
    if time is None or usual is None or hardware is None or forecast.shape is None:
        return None
    mfu, hfu = utilisation(forecast.shape, usual, hardware, time.seconds)
    rate = tokens_per_second(usual, time.seconds)
    devices = usual.parallel.devices
    between = say(f"{duration(time.low)} to {duration(time.high)}",
                  f"{duration(time.low)} 至 {duration(time.high)}")  # fmt: skip
    lines = [
        (say("devices", "设备"), f"{devices} × {hardware.device.name}"),
        (say("a step", "每步"), say(f"{duration(time.seconds)} ({between})",
                                    f"{duration(time.seconds)}（{between}）")),
        (say("tokens a second and device", "每设备每秒词元"), number(round(rate))),
        ("MFU / HFU", f"{mfu:.1%} / {hfu:.1%}"),
    ]  # fmt: skip
    found = forecast.cost
    if found is not None:
        span = say(f"{hours(found.low)} to {hours(found.high)}",
                   f"{hours(found.low)} 至 {hours(found.high)}")  # fmt: skip
        lines.append((say("all steps", "全部步"), f"{hours(found.hours)} ({span})"))
        if found.kwh is not None:
            lines.append((say("energy, at most", "电能上限"), f"{number(round(found.kwh, 2))} kWh"))
        if found.money is not None:
            lines.append((say("cost", "费用"), f"{found.money:,.2f}"))
    bars = [
        Bar(label=say.words(words), value=value, shown=duration(value))
        for name, words in WORK.items()
        if (value := getattr(time, name) * time.factor) > 0
    ]
    rows = behind("time", *_of(forecast))
    return Section(
        name="time",
        title=say("time", "时间"),
        lines=tuple(lines),
        charts=(Chart(title=say("where a step goes", "一步的时间去向"), bars=tuple(bars)),),
        remarks=(say(f"{time.basis}; {rows.en}", f"{time.basis.zh}；{rows.zh}"),),
    )


def _events(forecast: Forecast, language: str) -> Section | None:
    say, found = Say(language), forecast.events
    if found is None:
        return None
    at_most = say("at most ", "至多 ") if found.at_most else ""
    record = forecast.run.record
    strategies = (record.log_strategy, record.eval_strategy, record.save_strategy)
    blind = forecast.steps is None
    logs, evaluations, saves = (
        say("after each pass over the data", "每过一遍数据之后")
        if strategy == "epoch" and blind
        else _counted(steps, say)
        for strategy, steps in zip(
            strategies, (found.logs, found.evaluations, found.saves), strict=True
        )
    )
    lines = [
        (say("log lines", "日志行"), logs),
        (say("evaluations", "评估次数"), evaluations),
        (say("checkpoints", "检查点"), at_most + saves),
    ]
    if found.schedule is not None:
        name, warm = forecast.run.schedule.name, found.schedule.warmup
        told = f"{found.schedule.at(1):.3g} → {found.schedule.rate:.3g} → "
        told += f"{found.schedule.at(found.schedule.steps):.3g} ({name}"
        told += say(f", {warm:,} warm-up steps)", f"，预热 {warm:,} 步)") if warm else ")"
        lines.append((say("learning rate", "学习率"), told))
    return Section(
        name="events",
        title=say("on the way", "过程中"),
        lines=tuple(lines),
        curve=tuple(found.learning_rates()),
    )


def _counted(steps: tuple[int, ...], say: Say) -> str:
    if not steps:
        return say("none", "无")
    where = sentence_list([f"{one:,}" for one in steps], most=4, language=say.language)
    return say(f"{len(steps):,}, after step {where}", f"{len(steps):,} 次，步数：{where}")


def _disk(forecast: Forecast, language: str) -> Section | None:
    say, found = Say(language), forecast.disk
    if found is None or found.written == 0:
        return None
    lines = [
        (say("one checkpoint", "一个检查点"), size(found.checkpoint)),
        (say("  weights", "  权重"), size(found.weights)),
        (say("  optimizer", "  优化器"), size(found.optimizer)),
        (say("  other files", "  其他文件"), size(found.other)),
    ]
    if found.total is not None and found.at_most is not None:
        lines.append((say("in the end", "结束时"), f"{size(found.total)} ({found.kept:,})"))
        lines.append((say("at most", "最多时"), size(found.at_most)))
    return Section(
        name="disk",
        title=say("disk", "磁盘"),
        lines=tuple(lines),
        remarks=(say("a tokenizer's own files not counted", "未计分词器自身的文件"),),
    )


def _assumed(forecast: Forecast, language: str) -> Section | None:
    say = Say(language)
    told = [words.in_language(language) for words in forecast.assumptions]
    if forecast.shape is None:
        told.append(
            say(
                "no model config is here: memory, operations, time and disk hang on it",
                "这里没有模型的 config.json：显存、运算量、时间和磁盘都取决于它",
            )
        )
    elif forecast.hardware is None:
        told.append(
            say(
                'no device is named (--device "RTX 4090"): whether it fits and how long it takes '
                "is not said",
                '没有写明设备（--device "RTX 4090"）：是否放得下、需要多久都不予给出',
            )
        )
    if forecast.length is None and forecast.run.launch.train:
        told.append(
            say(
                "neither rows nor max_steps are known: how many steps there are is not said",
                "行数与 max_steps 均未知：步数不予给出",
            )
        )
    if not told:
        return None
    return Section(name="assumed", title=say("assumed, or not known", "假设与未知"),
                   remarks=tuple(told))  # fmt: skip
