"""The run as transformers' own arguments, tried out before anything is loaded or written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from accelerate.parallelism_config import ParallelismConfig
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, get_scheduler
from transformers.integrations.integration_utils import get_reporting_integration_callbacks
from transformers.utils.import_utils import is_liger_kernel_available

from ..errors import refuse
from ..formats.training_arguments import KEYS
from ..formats.training_arguments import write as training_arguments
from ..params.generate import METRICS
from ..params.record import MEASURED
from ..params.run import Run
from ..text import nearest, sentence_list


def arguments_of(run: Run, *, use_cpu: bool) -> Seq2SeqTrainingArguments:
    """The arguments of a resolved run.

    Raises:
        UserError: where transformers refuses them, or lacks what they ask for.
    """
    refuse_unknown_metric(run)
    known = {argument.name for argument in fields(Seq2SeqTrainingArguments)}
    written = training_arguments(run, known)
    own: dict[str, Any] = {
        "predict_with_generate": False,
        "prediction_loss_only": True,
        "push_to_hub": False,  # hub.py does
    }
    if use_cpu:
        own["use_cpu"] = True
    with told_of(run, written, ValueError, TypeError, ImportError):
        if "parallelism_config" in written:
            sizes: Any = written["parallelism_config"]
            written["parallelism_config"] = ParallelismConfig(**sizes)
        arguments = Seq2SeqTrainingArguments(**{"report_to": "none", **written, **own})
    for about, make in TRIED.items():
        with told_of(run, {about: None}, ValueError, TypeError, ImportError, RuntimeError, OSError):
            make(arguments)
    # One process is one device: with more in sight the trainer would split every batch over all.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _trackers(arguments: Seq2SeqTrainingArguments) -> None:
    for tracker in get_reporting_integration_callbacks(arguments.report_to):
        tracker()


def _generation_config(arguments: Seq2SeqTrainingArguments) -> None:
    chosen: Any = arguments.generation_config
    if chosen is not None:
        Seq2SeqTrainer.load_generation_config(chosen)


def _schedule(arguments: Seq2SeqTrainingArguments) -> None:
    chosen: Any = arguments.lr_scheduler_kwargs
    optimizer = torch.optim.SGD([torch.zeros(1)])
    get_scheduler(arguments.lr_scheduler_type, optimizer, 1, 2, scheduler_specific_kwargs=chosen)


def _liger(arguments: Seq2SeqTrainingArguments) -> None:
    if arguments.use_liger_kernel and not is_liger_kernel_available():
        raise ImportError("liger-kernel is not installed")


TRIED: dict[str, Callable[[Seq2SeqTrainingArguments], None]] = {
    "report_to": _trackers,
    "generation_config": _generation_config,
    "lr_scheduler_type": _schedule,
    "use_liger_kernel": _liger,
}
"""What the trainer makes of an argument only when the model is there, or training: made once before
that, for the errors.
"""


@contextmanager
def told_of(run: Run, written: Mapping[str, object], *errors: type[Exception]) -> Iterator[None]:
    """Errors of transformers become UserErrors, which say which of the arguments ``written`` they
    are about.
    """
    try:
        yield
    except errors as refusal:
        named = [
            name
            for name, value in written.items()
            if len(written) == 1 or is_about(str(refusal), name, value)
        ]
        paths = [KEYS[name] for name in named if name in KEYS]
        where = [run.origin(path) for path in paths if run.written(path)]
        arguments = sentence_list(named) if named else "the argument named there"
        raise refuse(
            what="transformers refuses these training arguments",
            where=sentence_list(dict.fromkeys(where)) or run.record.output or "the run",
            why=" ".join(str(refusal).split()),
            fix=f"install what is lacking, or leave {arguments} out"
            if isinstance(refusal, ImportError)
            else f"change {arguments}",
        ) from None


def is_about(message: str, name: str, value: object) -> bool:
    """Whether a message is about an argument: it has its name, or the word that it was given."""
    words = [name, value] if isinstance(value, str) and len(value) > 3 else [name]
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message) for word in words)


def refuse_unknown_metric(run: Run) -> None:
    """Raises UserError where the best checkpoint is chosen by what no evaluation measures."""
    metric = run.record.best_metric
    known = [*MEASURED, *(METRICS if run.generate.enabled else ())]
    if metric is None or metric.removeprefix("eval_") in known:
        return
    like = nearest(metric, known)
    more = "" if run.generate.enabled else "; with --predict_with_generate also BLEU and ROUGE"
    raise refuse(
        what=f"no evaluation measures {metric!r}",
        where=str(run.origin("record.best_metric")),
        why=f"it measures {', '.join(known)}{more}",
        fix=f"write {like!r}" if like else "name one of these",
    )
