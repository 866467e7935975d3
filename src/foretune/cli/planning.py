"""The verb that says what a run will be: plan."""

from __future__ import annotations

from ..errors import refuse
from ..params.run import Run
from .fitting import fit, refuse_without_fit
from .words import Words, one_of, positive, read_run, refuse_nothing, whole_number

FORMATS = ("text", "json", "md", "html")


def plan(words: Words) -> int:
    """Says what a run will be; 0, or with a device 1 where it does not fit and 2 where it may
    not.
    """
    from ..plan.verdict import EXIT_CODES
    from ..plan.view import laid_out
    from ..train.foresee import foresee

    refuse_nothing(words, "plan")
    run = read_run(words)
    if "trainable" in words.options:
        return trainable(run, words.options["trainable"])
    if "fit" in words.options:
        return fit(words)
    refuse_without_fit(words)
    form = one_of(words, "format", FORMATS)
    expected = foresee(
        run,
        transformers=words.options.get("transformers"),
        tokens="tokens" in words.options,
        sample=whole_number(words, "sample"),
        device=words.options.get("device"),
        gpus=words.options.get("gpus"),
        price=positive(words, "price"),
        needs_data=False,
        trace="trace" in words.options,
    )
    print(laid_out(expected, form, words.language()))
    return 0 if expected.fit is None else EXIT_CODES[expected.fit.verdict]


def trainable(run: Run, written: str) -> int:
    """Says which settings train exactly so many parameters; 1 where none is known."""
    from ..formats.model_config import model_file
    from ..plan.parameters import explanations

    digits = written.replace(",", "").replace("_", "")
    if not digits.isdecimal():
        raise refuse(
            what=f"--trainable {written} is no number",
            where="command line",
            why="it takes a number of parameters, as a training log prints it",
            fix="write it with digits: --trainable 1949696 or 1,949,696",
        )
    config = model_file(run)
    if config is None:
        raise refuse(
            what="there is no model config to count with",
            where="command line",
            why="the number of trainable parameters depends on the sizes of the model",
            fix="name a config.json, or --model_name_or_path a folder that has one",
        )
    found = list(explanations(config.shape, int(digits)))
    print("\n".join(map(str, found)) or f"nothing known gives exactly {int(digits):,}")
    return 0 if found else 1
