"""The forecast of a run: what it will do, said before it does it, in the words of the trainer's own
log.

A part is computed when it is asked for, and what computes it is imported then: a page about a
config.json needs few of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import UserError, refuse
from ..facts import Facts
from ..params.arch.shape import Shape
from ..params.declare import Words
from ..params.run import Run
from ..text import counted
from .parameters import total_parameters, trainable_parameters
from .steps import COUNTS_THE_LAST_PARTIAL_ACCUMULATION, Steps, steps
from .version import installed, release

if TYPE_CHECKING:
    from .calibration import Calibration, Measured, Stack
    from .cost import Cost
    from .devices import Device
    from .disk import Disk
    from .events import Events, Length
    from .flops import Flops
    from .memory.peak import Memory, Parts
    from .setup import Setup
    from .step_time import Hardware, StepTime
    from .verdict import Fit

LOGS_STEPS_PER_EPOCH = (5, 3)
"""The first release whose training log has the line 'Num update steps per epoch'."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a resolved run will do. A part is None where what it needs is not known (no data file,
    no model config, no device).
    """

    run: Run
    facts: Facts
    shape: Shape | None
    steps: Steps | None
    trainable: int | None
    total: int | None
    hardware: Hardware | None = None
    """The devices that the run is meant for."""
    price: float | None = None
    """Of one of them for an hour."""
    known: tuple[Measured, ...] = ()
    """Runs whose steps were measured, on whatever stack."""
    stored_bits: int = 0
    """Bits in which config.json says that the weights are packed."""
    family: str | None = None
    """Of the model, as params/arch names it."""
    traced: Memory | None = None
    """Memory as a traced step has it, in place of the formulas'."""

    @cached_property
    def setup(self) -> Setup | None:
        """What of the run decides memory and time, at the length of its longest batch."""
        if self.shape is None:
            return None
        from .of_run import setup_of

        return setup_of(self.run, self.shape, self.facts, stored_bits=self.stored_bits)

    @cached_property
    def usual(self) -> Setup | None:
        """The same at the length of a usual batch."""
        if self.setup is None:
            return None
        from .of_run import typical

        return typical(self.setup, self.run, self.facts)

    @cached_property
    def memory(self) -> Memory | None:
        """Memory of one device; of a run that does not train, without what training takes."""
        shape, setup, run = self.shape, self.setup, self.run
        if self.traced is not None or shape is None or setup is None:
            return self.traced
        device = None if self.hardware is None else self.hardware.device
        return memory_of(run, shape, setup, self.facts, device)

    @cached_property
    def fit(self) -> Fit | None:
        """Whether the run fits the device that it is meant for."""
        if self.memory is None or self.hardware is None or self.hardware.device.is_cpu:
            return None
        from .evidence import MEMORY_ROWS, method_of
        from .verdict import fit

        rows = MEMORY_ROWS[method_of(self.run)]
        return fit(self.memory, self.hardware.device, rows=rows)

    @cached_property
    def flops(self) -> Flops | None:
        """Operations of one optimizer step, over all devices."""
        if self.shape is None or self.usual is None or not self.run.launch.train:
            return None
        from .flops import flops

        return flops(self.shape, self.usual)

    @cached_property
    def time(self) -> StepTime | None:
        """Seconds of an optimizer step, with what measured runs say of it."""
        found = self.uncalibrated
        return found if found is None or self.calibration is None else self.calibration.of(found)

    @cached_property
    def uncalibrated(self) -> StepTime | None:
        """Seconds of an optimizer step by the formulas alone."""
        if self.flops is None or self.hardware is None:
            return None
        assert self.shape is not None and self.usual is not None
        if self.hardware.device.is_cpu:
            from .cpu_time import cpu_step_time

            return cpu_step_time(self.shape, self.usual, self.hardware.device)
        from .step_time import step_time

        return step_time(self.shape, self.usual, self.hardware)

    @cached_property
    def stack(self) -> Stack | None:
        """What the time of a step is true of; None where the device or the model is not known."""
        if self.hardware is None or self.family is None:
            return None
        from .calibration import Stack
        from .evidence import method_of

        return Stack(
            device=self.hardware.device.name,
            family=self.family,
            method=method_of(self.run),
            torch=installed("torch"),
            transformers=self.facts.transformers,
        )

    @cached_property
    def calibration(self) -> Calibration | None:
        """What measured runs of a stack like this one say; None where there are none."""
        if self.stack is None or self.uncalibrated is None or not self.known:
            return None
        from .calibration import calibration

        return calibration(self.stack, self.known, self.uncalibrated.seconds)

    @cached_property
    def length(self) -> Length | None:
        """How long the run is; None where neither rows nor max_steps are known."""
        if not self.run.launch.train:
            return None
        from .events import length_of

        return length_of(self.run, self.steps, self.facts.transformers)

    @cached_property
    def events(self) -> Events | None:
        """Log lines, evaluations, checkpoints, the learning rate."""
        if self.length is None:
            return None
        from .events import events

        return events(self.run, self.length)

    @cached_property
    def disk(self) -> Disk | None:
        """Bytes of the checkpoints."""
        if self.shape is None or self.trainable is None or not self.run.launch.train:
            return None
        from .disk import disk

        return disk(self.run, self.shape, self.trainable, self.events)

    @cached_property
    def cost(self) -> Cost | None:
        """Hours, energy and money of all steps."""
        if self.time is None or self.length is None:
            return None
        from .cost import cost

        assert self.hardware is not None and self.usual is not None
        watts = self.hardware.device.watts
        devices = self.usual.parallel.devices
        return cost(self.length.steps, self.time, devices, watts, self.price)

    @cached_property
    def assumptions(self) -> tuple[Words, ...]:
        """What was taken in place of what is not known."""
        if self.shape is None:
            return ()
        from .of_run import assumptions

        return assumptions(self.run, self.shape, self.facts)

    @property
    def tokens_trained(self) -> int | None:
        """Tokens with a loss over the whole run, as many passes as the steps make."""
        train = self.facts.train
        if self.steps is None or train is None or train.trained_tokens is None:
            return None
        return round(train.trained_tokens / train.examples * self.examples_seen)

    @property
    def rows_seen_equally(self) -> bool:
        """Whether every row is seen equally often: only then are the tokens known exactly, since
        which rows a part of a pass sees, which are left out of the last batch, and which fill it up
        where there are several devices, is left to chance.
        """
        made, train = self.steps, self.facts.train
        if made is None or made.steps % made.steps_per_epoch:
            return False
        if train is not None and train.sampled is not None:
            return False
        return self._examples_per_epoch == made.examples

    @property
    def examples_seen(self) -> int:
        """Examples that the optimizer sees in all, a partial last accumulation counted as what it
        is.
        """
        assert self.steps is not None
        whole, rest = divmod(self.steps.steps, self.steps.steps_per_epoch)
        return whole * self._examples_per_epoch + min(
            rest * self.steps.total_batch, self._examples_per_epoch
        )

    @property
    def _examples_per_epoch(self) -> int:
        assert self.steps is not None
        if release(self.facts.transformers) < COUNTS_THE_LAST_PARTIAL_ACCUMULATION:
            return self.steps.steps_per_epoch * self.steps.total_batch
        if self.run.batch.drop_last or self.steps.devices > 1:
            per_batch = self.steps.micro * self.steps.devices
            return self.steps.batches_per_epoch * per_batch
        return self.steps.examples

    def figures(self) -> dict[str, Any]:
        """The figures that a training run is held against, by the name under which reports show
        them.
        """
        train, made = self.facts.train, self.steps
        figures: dict[str, Any] = {}
        if train is not None:
            figures |= {"rows": train.rows, "examples": train.examples}
        if made is not None:
            figures |= {
                "epochs": made.epochs,
                "batch per device": made.micro,
                "total batch": made.total_batch,
                "accumulation": made.accumulation,
                "batches per epoch": made.batches_per_epoch,
                "steps per epoch": made.steps_per_epoch,
                "optimization steps": made.steps,
                "warm-up steps": made.warmup,
            }
        if self.tokens_trained is not None and self.rows_seen_equally:
            figures["trained tokens"] = self.tokens_trained
        if train is not None and train.run_tokens is not None:
            figures["tokens with padding"] = train.run_tokens
        if self.trainable is not None:
            figures |= {"trainable parameters": self.trainable, "total parameters": self.total}
        return figures


def forecast(
    run: Run,
    facts: Facts,
    shape: Shape | None,
    *,
    hardware: Hardware | None = None,
    price: float | None = None,
    known: tuple[Measured, ...] = (),
    stored_bits: int = 0,
    family: str | None = None,
) -> Forecast:
    """The forecast of a resolved run from what its files say and what was measured of its data, on
    the devices that it is meant for.

    Raises:
        UserError: where not one batch comes together.
    """
    made = None
    if facts.train is not None and facts.train.examples > 0:
        made = steps(
            examples=facts.train.examples,
            micro=run.batch.micro,
            accumulation=run.batch.accumulation,
            devices=facts.devices,
            epochs=run.schedule.epochs,
            max_steps=run.schedule.max_steps,
            warmup=run.schedule.warmup,
            drop_last=run.batch.drop_last,
            transformers=facts.transformers,
            rebalanced=run.batch.order == "batch_rebalance",
        )
        if made.batches_per_epoch == 0:
            raise _no_batch(run, made)
    return Forecast(
        run=run,
        facts=facts,
        shape=shape,
        steps=made,
        trainable=None if shape is None else trainable_parameters(run, shape),
        total=None if shape is None else total_parameters(run, shape),
        hardware=hardware,
        price=price,
        known=known,
        stored_bits=stored_bits,
        family=family,
    )


def memory_of(run: Run, shape: Shape, setup: Setup, facts: Facts, device: Device | None) -> Memory:
    """Memory of one device through a resolved run; of one that does not train, without what
    training takes.
    """
    from .memory.evaluation import loss_pass
    from .memory.peak import memory
    from .row_length import eval_length

    answers = run.generate.enabled and (run.launch.predict or run.evaluates)
    prefix = setup.adapter.prefix if setup.adapter is not None else 0
    held = memory(
        shape,
        setup,
        device,
        answers=(run.generate.max_length or 0) + prefix if answers else 0,
        eval_batch=run.batch.eval * (run.generate.num_beams or 1) if answers else 0,
    )
    if run.evaluates:
        length = eval_length(run, shape, facts)
        computed = held.save.and_(**loss_pass(shape, setup, run.batch.eval, length))
        held = replace(held, evaluate=max(held.evaluate, computed, key=lambda one: one.total))
    if setup.parallel.program == "deepspeed" and setup.parallel.sharding != "all":
        loaded = _as_loaded(run, shape, setup)
        held = replace(held, load=max(held.load, loaded, key=lambda one: one.total))
    return held if run.launch.train else _without_training(held)


def _as_loaded(run: Run, shape: Shape, setup: Setup) -> Parts:
    """The weights as the trainer loads them: below ZeRO-3 each process has the whole model on its
    device, in the run's own type, before DeepSpeed casts it.
    """
    from .memory.peak import Parts
    from .memory.states import BYTES, bytes_of_model

    numbers = replace(setup.precision, weights=BYTES.get(run.precision.dtype, 4))
    return Parts(weights=bytes_of_model(shape, replace(setup, precision=numbers)))


def _without_training(held: Memory) -> Memory:
    """The memory of a run that only evaluates or predicts."""
    from .memory.peak import Parts

    weights = held.load.weights
    seen = held.evaluate
    bare = Parts(
        weights=weights, logits=seen.logits, cache=seen.cache, activations=seen.activations
    )
    return replace(
        held, moments={"evaluate": bare}, evaluate=bare, save=held.load, fragmentation=0.0
    )


def _no_batch(run: Run, made: Steps) -> UserError:
    return refuse(
        what=f"{counted(made.examples, 'example')} do not fill one batch",
        where=str(run.origin("batch.drop_last")),
        why=f"drop_last leaves out a batch of fewer than {made.micro * made.devices} examples",
        fix="leave --dataloader_drop_last out, or make the batch smaller",
    )


def training_log(forecast: Forecast) -> str:
    """The block that the trainer of this version of transformers will log when it starts."""
    made = forecast.steps
    assert made is not None, "there is no training log without training data"
    lines = [
        "***** Running training *****",
        f"  Num examples = {made.examples:,}",
        f"  Num Epochs = {made.epochs:,}",
    ]
    if release(made.transformers) >= LOGS_STEPS_PER_EPOCH:
        lines.append(f"  Num update steps per epoch = {made.steps_per_epoch:,}")
    lines += [
        f"  Instantaneous batch size per device = {made.micro:,}",
        "  Total train batch size (w. parallel, distributed & accumulation) = "
        f"{made.total_batch:,}",
        f"  Gradient Accumulation steps = {made.accumulation}",
        f"  Total optimization steps = {made.steps:,}",
    ]
    if forecast.trainable is not None:
        lines.append(f"  Number of trainable parameters = {forecast.trainable:,}")
    return "\n".join(lines)
