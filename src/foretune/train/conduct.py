"""A run from its files to its report: forecast, train, evaluate, predict. Nothing is written before
all of it is checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import PreTrainedTokenizerBase, set_seed

from ..data.collate import prompt_collator, training_collator
from ..data.encoded import UNTRAINED, family_of
from ..data.order import padded_tokens
from ..data.padding import is_encoder_decoder, padded_length
from ..data.prepare import Prepared, prepare
from ..data.read import Split
from ..data.show import first_example_text
from ..errors import UserError, refuse
from ..evaluate.generate import predict, text_of, write_predictions
from ..evaluate.metrics import score
from ..facts import Facts
from ..formats.model_config import model_file
from ..models.quantized import PackedEmbedding, PackedLinear
from ..params.arch.shape import Shape
from ..params.resolve import Device, resolve
from ..params.run import Run
from ..plan.calibration import known_runs
from ..plan.forecast import Forecast, forecast, training_log
from ..plan.remarks import remarks
from ..plan.version import installed
from ..tokenizers import load_tokenizer
from ..tune import Method, method
from .any_model import stop_at_turn_ends, with_pad
from .arguments import arguments_of, told_of
from .base import at_base, load_as_asked, untrained, with_hub_config
from .clock import StepClock
from .heard import HeardBlock
from .hub import open_repository, upload
from .launch import refuse_other_processes
from .measured import estimates, hardware_here, noted
from .output import checkpoints, refuse_finished, refuse_unwritable, resume_point
from .report import Report
from .sizes import sizes_of
from .trainer import MethodTrainer

Say = Callable[[str], None]
NUM_SAMPLES = 5
"""Generated answers that the report shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """All that a run needs, read and checked, before anything is loaded or written."""

    run: Run
    forecast: Forecast
    tokenizer: PreTrainedTokenizerBase
    train: Prepared | None
    validation: Prepared | None
    """The validation rows as training examples: their loss."""
    validation_prompts: Prepared | None
    test_prompts: Prepared | None
    resume: Path | None

    @property
    def output(self) -> Path:
        return Path(self.run.record.output or ".")

    def text(self, tokens: list[int]) -> str:
        """Token ids as a person reads them."""
        return text_of(tokens, self.tokenizer)


def execute(run: Run, *, say: Say = print) -> Report:
    """Runs a written run and returns its report, which stands in the output folder too.

    Raises:
        UserError: with everything that keeps the run from starting; the output folder is then as it
        was.
    """
    state = PartialState(cpu=device_of(run) == "cpu")
    refuse_other_processes(run, state.num_processes)
    say = say if state.is_main_process else (lambda _: None)
    opened = open_run(run, say)
    repository = open_repository(opened.run) if state.is_main_process else None
    started, clock = datetime.now().isoformat(sep=" ", timespec="seconds"), time.monotonic()
    report = Report(run=opened.run, forecast=opened.forecast, started=started)
    trainer = build_trainer(opened)
    try:
        _run(opened, trainer, report, say)
    except BaseException as failure:
        report.ended = ended_by(failure)
        raise
    finally:
        trainer.interrupt.restore()
        report.seconds = time.monotonic() - clock
        if state.is_main_process and opened.output.is_dir():
            report.history = trainer.state.log_history
            report.checkpoints = [str(path) for path in checkpoints(opened.output)]
            say(f"report: {report.write(opened.output)}")
    saved = checkpoints(opened.output)
    if repository is not None and saved and not trainer.interrupt.asked:
        say(f"uploaded: {upload(opened.run, repository, saved[-1])}")
    return report


def ended_by(failure: BaseException) -> str:
    """How a run ended that did not finish, in the words of its report."""
    if isinstance(failure, KeyboardInterrupt):
        return "interrupted"
    return f"failed: {type(failure).__name__}: {failure}".strip().partition("\n")[0]


def resolved(run: Run) -> tuple[Run, Shape | None, str | None]:
    """The run with its base found and every open value filled in, the sizes of its model, and what
    its family is called.
    """
    run = at_base(run)
    config = model_file(run)
    if config is None and not Path(run.model.path or "").is_dir():
        resolve(run, device=device_of(run))  # what the run lacks is told before the hub is asked
        run = with_hub_config(run)
        config = model_file(run)
    shape, family = sizes_of(run, config)
    run = resolve(run, shape, device=device_of(run))
    return run.add((), untrained(run)), shape, family


def open_run(run: Run, say: Say) -> Opened:
    """Reads and checks everything that the run names, and says the forecast."""
    run, shape, family = resolved(run)
    refuse_unwritable(run)
    resume = resume_point(run)
    tokenizer = load_tokenizer(run.model.tokenizer or "")
    run = run.add((), with_pad(tokenizer))
    launch, data, enabled = run.launch, run.data, run.generate.enabled

    def rows(wanted: bool, file: str | None, split: Split, forced: bool) -> Prepared | None:
        if not wanted:
            return None
        try:
            return prepare(file, data, tokenizer, split=split, teacher_forced=forced)
        except UserError as error:
            raise run.at_origins(error) from None

    opened = Opened(
        run=run,
        forecast=forecast(run, Facts(transformers=installed("transformers")), None),
        tokenizer=tokenizer,
        train=rows(launch.train, data.train, "train", True),
        validation=rows(run.evaluates, data.validation, "evaluate", True),
        validation_prompts=rows(run.evaluates and enabled, data.validation, "evaluate", False),
        test_prompts=rows(launch.predict, data.test, "predict", False),
        resume=resume,
    )
    facts = Facts(
        transformers=installed("transformers"),
        devices=PartialState().num_processes,
        train=opened.train.facts if opened.train else None,
        validation=opened.validation.facts if opened.validation else None,
        test=opened.test_prompts.facts if opened.test_prompts else None,
    )
    expected = forecast(
        run,
        facts,
        shape,
        hardware=hardware_here(device_of(run)),
        known=tuple(known_runs()),
        family=family,
    )
    opened = replace(opened, forecast=_in_order(expected, opened.train, tokenizer))
    refuse_no_room(opened)
    if resume is not None and opened.forecast.steps is not None:
        refuse_finished(run, resume, opened.forecast.steps.steps)
    say_forecast(opened, say)
    return opened


def _in_order(expected: Forecast, train: Prepared | None, tokenizer: object) -> Forecast:
    """With the tokens of the run, padding included, where the order of its rows is known."""
    if train is None or expected.steps is None:
        return expected
    run = expected.run
    seed = run.launch.seed if run.launch.data_seed is None else run.launch.data_seed
    tokens = padded_tokens(
        train.dataset.input_ids.lengths,
        expected.steps,
        order=run.batch.order,
        seed=seed,
        drop_last=run.batch.drop_last,
        constant=padded_length(family_of(tokenizer), run.data),
    )
    facts = replace(expected.facts, train=replace(train.facts, run_tokens=tokens))
    return replace(expected, facts=facts)


def say_forecast(opened: Opened, say: Say) -> None:
    """What was translated, the first example, and what the run will do."""
    for note in opened.run.notes:
        say(f"note: {note}")
    if opened.train is not None:
        say(first_example_text(opened.train.dataset, opened.tokenizer))
        say("\nforecast\n" + training_log(opened.forecast))
    for remark in remarks(opened.forecast):
        say(f"  {remark}")


def refuse_no_room(opened: Opened) -> None:
    """Raises UserError where a prompt is as long as prompt and answer may be together; a decoder
    writes nothing of the prompt.
    """
    if is_encoder_decoder(family_of(opened.tokenizer)):
        return
    limit = opened.run.generate.max_length or 0
    for prompts in (opened.validation_prompts, opened.test_prompts):
        if prompts is None:
            continue
        padded = prompts.dataset.padded_to
        longest = int(prompts.dataset.input_ids.lengths.max() if padded is None else padded.max())
        if longest >= limit:
            raise refuse(
                what=f"a prompt of {longest} tokens leaves no room for an answer within {limit}",
                where=str(opened.run.origin("generate.max_length")),
                why="generate.max_length counts prompt and answer together",
                fix="leave it out (then both length limits of the data fit), or make it larger",
            )


def device_of(run: Run) -> Device:
    """Where the run computes."""
    return "cuda" if torch.cuda.is_available() and not run.launch.use_cpu else "cpu"


def build_trainer(opened: Opened) -> MethodTrainer:
    """Loads the model, puts the method on it, and hands both to the trainer."""
    run = opened.run
    arguments = arguments_of(run, use_cpu=device_of(run) == "cpu")
    set_seed(run.launch.seed)  # a fresh prefix or adapter is the same in every process
    assert run.method.name is not None
    model = load_as_asked(run, arguments.device)
    stop_at_turn_ends(model, opened.tokenizer, run)
    tuning: Method = method(run.method.name)
    model = tuning.attach(model, run)
    with told_of(run, {"optim": None}, ValueError, ImportError):
        MethodTrainer.get_optimizer_cls_and_kwargs(arguments, model)
    with told_of(run, arguments.to_dict(), ValueError):
        trainer = MethodTrainer(
            method=tuning,
            model=model,
            args=arguments,
            replaces=checkpoints(opened.output) if run.launch.train and not opened.resume else (),
            train_dataset=opened.train.dataset if opened.train else None,
            eval_dataset=opened.validation.dataset if opened.validation else None,
            data_collator=training_collator(opened.tokenizer, run.data),
            processing_class=opened.tokenizer,
        )
    prompts = opened.validation_prompts
    if prompts is not None:
        trainer.generation = lambda: _answers(opened, trainer, prompts)[2]
    return trainer


def _run(opened: Opened, trainer: MethodTrainer, report: Report, say: Say) -> None:
    run = opened.run
    if run.launch.train:
        _train(opened, trainer, report, say)
    if trainer.interrupt.asked:
        return
    if run.launch.evaluate:
        metrics = trainer.evaluate()
        report.metrics |= metrics
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    if opened.test_prompts is not None:
        _predict(opened, trainer, report, say)


def _train(opened: Opened, trainer: MethodTrainer, report: Report, say: Say) -> None:
    expected = training_log(opened.forecast)
    clock = StepClock()
    trainer.add_callback(clock)
    with HeardBlock() as heard:
        result = trainer.train(str(opened.resume) if opened.resume else None)
    state = trainer.state
    logged = heard.block(len(expected.splitlines()))
    report.training_log = {"forecast": expected, "actual": logged}
    report.actual = dict(_actual(opened, trainer))
    report.metrics |= result.metrics
    trainer.save_metrics("train", result.metrics)
    trainer.save_state()
    if trainer.interrupt.asked:
        report.ended = f"interrupted at step {state.global_step}"
        say(f"interrupted at step {state.global_step}; go on with --resume_from_checkpoint true")
    finished = None if trainer.interrupt.asked else result.metrics.get("train_runtime")
    report.checkpoints = [str(path) for path in checkpoints(opened.output)]
    report.estimates = estimates(opened.forecast, clock, report.checkpoints, finished)
    if trainer.accelerator.is_main_process:
        where = str(opened.output)
        report.measured = noted(opened.forecast, clock, when=report.started, source=where)
    say("as forecast" if logged == expected else f"the trainer logged otherwise:\n{logged}")
    for row in report.disagreements:
        say(f"  {row.name}: forecast {row.forecast:,}, actual {row.actual:,}")


def _actual(opened: Opened, trainer: MethodTrainer) -> dict[str, int]:
    """What the trainer itself counted, by the names of the forecast."""
    args, state = trainer.args, trainer.state
    assert opened.train is not None
    parameters = list(trainer.accelerator.unwrap_model(trainer.model).parameters())
    loader = trainer.get_train_dataloader()
    per_epoch = trainer.set_initial_training_values(args, loader)[1]
    actual = {
        "rows": opened.train.facts.rows,
        "examples": trainer.num_examples(loader),
        "epochs": state.num_train_epochs,
        "batch per device": args.per_device_train_batch_size,
        "total batch": trainer.get_total_train_batch_size(args),
        "accumulation": args.gradient_accumulation_steps,
        "batches per epoch": len(loader),
        "steps per epoch": per_epoch,
        "optimization steps": state.max_steps,
        "warm-up steps": args.get_warmup_steps(state.max_steps),
        "trainable parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "total parameters": num_parameters(trainer.accelerator.unwrap_model(trainer.model)),
    }
    if not trainer.interrupt.asked and opened.resume is None:
        actual["trained tokens"] = int(trainer.trained_tokens)
        actual["tokens with padding"] = trainer.padded_tokens
    return actual


def num_parameters(model: torch.nn.Module) -> int:
    """Parameters of a model; a packed one counts the elements that it stands for."""
    counts = {id(parameter): parameter.numel() for parameter in model.parameters()}
    for module in model.modules():
        if isinstance(module, PackedLinear):
            counts[id(module.weight)] = module.in_features * module.out_features
        elif isinstance(module, PackedEmbedding):
            counts[id(module.weight)] = module.num_embeddings * module.embedding_dim
    return sum(counts.values())


def _answers(
    opened: Opened, trainer: MethodTrainer, prompts: Prepared
) -> tuple[list[str], list[str], dict[str, float]]:
    """The generated answers, the wanted ones, and the scores of the first against the second."""
    run = opened.run
    answers = predict(
        trainer.accelerator.unwrap_model(trainer.model),
        prompts.dataset,
        prompt_collator(opened.tokenizer, run.data),
        generate=run.generate,
        batch=run.batch.eval,
        seed=run.launch.seed,
    )
    labels = prompts.dataset.labels
    wanted = [
        opened.text([label for label in labels[row].tolist() if label != UNTRAINED])
        for row in range(len(labels))
    ]
    scores = score(answers, wanted, protocol=run.generate.metrics)
    return answers, wanted, {**scores.means, "empty_predictions": scores.num_empty}


def _predict(opened: Opened, trainer: MethodTrainer, report: Report, say: Say) -> None:
    prompts = opened.test_prompts
    assert prompts is not None
    clock = time.monotonic()
    answers, wanted, scores = _answers(opened, trainer, prompts)
    metrics = {f"predict_{name}": value for name, value in scores.items()}
    metrics |= {"predict_samples": len(answers), "predict_runtime": time.monotonic() - clock}
    report.metrics |= metrics
    report.samples = [
        {
            "prompt": opened.text(prompts.dataset.input_ids[row].tolist()),
            "labels": wanted[row],
            "predict": answers[row],
        }
        for row in range(min(NUM_SAMPLES, len(answers)))
    ]
    trainer.log_metrics("predict", metrics)
    trainer.save_metrics("predict", metrics)
    if trainer.accelerator.is_main_process:
        say(f"predictions: {write_predictions(opened.output, wanted, answers)}")
