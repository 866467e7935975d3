"""The forecast of a run: what it will do, said before it does it, in the words of the trainer's own
log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, refuse
from ..facts import DataFacts, Facts
from ..params.arch.shape import Shape
from ..params.run import Run
from ..text import counted, number, place, sentence_list
from .parameters import total_parameters, trainable_parameters
from .steps import COUNTS_THE_LAST_PARTIAL_ACCUMULATION, Steps, steps
from .version import release

LOGS_STEPS_PER_EPOCH = (5, 3)
"""The first release whose training log has the line 'Num update steps per epoch'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a resolved run will do. A part is None where what it needs is not known (no data file,
    no model config).
    """

    run: Run
    facts: Facts
    shape: Shape | None
    steps: Steps | None
    trainable: int | None
    total: int | None

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
        made = self.steps
        if made is None or made.steps % made.steps_per_epoch:
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
        if self.trainable is not None:
            figures |= {"trainable parameters": self.trainable, "total parameters": self.total}
        return figures


def forecast(run: Run, facts: Facts, shape: Shape | None) -> Forecast:
    """The forecast of a resolved run from what its files say and what was measured of its data.

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


def remarks(forecast: Forecast) -> Iterator[str]:
    """What the numbers mean, and what to look at, beside the block."""
    if forecast.steps is not None:
        yield from _about_steps(forecast, forecast.steps)
    if forecast.run.launch.train and forecast.trainable is not None and forecast.total:
        share = forecast.trainable / forecast.total
        yield (
            f"{forecast.trainable:,} of {forecast.total:,} parameters train ({share:.3%}): "
            f"{forecast.run.method.name}"
        )
    for facts in (forecast.facts.train, forecast.facts.validation, forecast.facts.test):
        if facts is not None:
            yield from _about_rows(facts)
    if forecast.tokens_trained is not None:
        about = "" if forecast.rows_seen_equally else "about "
        yield f"{about}{forecast.tokens_trained:,} tokens are trained on in all"


def _about_steps(forecast: Forecast, made: Steps) -> Iterator[str]:
    version = made.transformers
    yield (
        f"{counted(made.batches_per_epoch, 'batch', 'batches')} and "
        f"{counted(made.steps_per_epoch, 'step')} an epoch, {made.passes:.2f} passes over the data "
        f"in all (exact for transformers {version})"
    )
    left = made.batches_per_epoch % made.accumulation
    if left and made.batches_per_epoch > made.accumulation:
        over = f"an epoch leaves {counted(left, 'batch', 'batches')} over"
        older = made.batches_per_epoch // made.accumulation
        if release(version) < COUNTS_THE_LAST_PARTIAL_ACCUMULATION:
            yield f"{over}: before transformers 4.52 without a step, since then with one"
        else:
            yield f"{over}: a step since transformers 4.52, none before ({older:,} an epoch)"
    if forecast.run.schedule.max_steps is not None and forecast.run.written("schedule.epochs"):
        yield "max_steps decides; the number of epochs that is written has no effect"


def _about_rows(facts: DataFacts) -> Iterator[str]:
    yield f"{facts.file}: {counted(facts.rows, 'row')}, {counted(facts.examples, 'example')}" + (
        f"; {facts.tokens:,} tokens, {facts.trained_tokens:,} with a label, longest example "
        f"{number(facts.longest or 0)}"
        if facts.tokens is not None and facts.trained_tokens is not None
        else ""
    )
    damage = facts.damage
    counts = {
        "rows that cannot be read, skipped": facts.bad,
        "rows without a prompt or a response, left out": facts.empty,
        "prompts cut to the source limit": damage.prompts_cut,
        "newest questions that lost their end": damage.questions_cut,
        "answers cut to the target limit": damage.answers_cut,
        "rows left out for their length": damage.dropped,
    }
    told = [f"{what}: {count:,}" for what, count in counts.items() if count]
    if told:
        lines = ", first at " + sentence_list(place(facts.file, n) for n in damage.lines[:3])
        yield f"{facts.file}: {'; '.join(told)}{lines if damage.lines else ''}"
