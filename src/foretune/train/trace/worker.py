"""The process that traces: takes what is asked on its standard input, and answers on its output.

    python -m foretune.train.trace.worker < asked > answer

It is a process of its own since an error inside the backward pass of the traced device ends the
process, and since the device stays registered. What goes in is pickled by the process that started
it; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import pickle
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import write_whole
from . import SAYS, Step, versions


def answer(asked: Any) -> dict[str, Any]:
    """The figures of one run, or its problems."""
    from .device import register
    from .model import build, planned, sizes_of
    from .replay import replay
    from .step import STEPS, trace_all

    run, step = asked["run"], Step(**asked["step"])
    with tempfile.TemporaryDirectory() as folder:
        if asked["config"] is not None:
            file = write_whole(Path(folder) / "config.json", json.dumps(asked["config"]))
            run = run.set({"model.config": str(file)})
        casts, plan = register(), planned(run)
    make, sizes = partial(build, plan, run), sizes_of(plan.config)
    if asked["every"]:
        sizes = replace(sizes, traced=sizes.layers)
    whole, sizes = trace_all(run, make, sizes, step, casts, say=tell)
    found = asdict(replay(whole, STEPS - 1))
    return {"layers": sizes.layers, "traced": sizes.traced, "versions": versions(), **found}


def tell(text: str) -> None:
    """Where the work is, for the one who waits."""
    print(f"{SAYS}{text}", file=sys.stderr, flush=True)


def main() -> int:
    """Answers once. What goes wrong is an answer too, as far as the process lives to give it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    out, sys.stdout = sys.stdout, sys.stderr
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    try:
        found = answer(pickle.load(sys.stdin.buffer))
        found["seconds"] = time.monotonic() - begun
    except UserError as error:
        found = {"problems": [asdict(problem) for problem in error.problems]}
    except Exception as failure:
        import traceback

        place = traceback.extract_tb(failure.__traceback__)[-1]
        text = " ".join(str(failure).split())[:400]
        where = f"{place.name} in {place.filename.rpartition('/')[2]}:{place.lineno}"
        found = {"failed": f"{type(failure).__name__}: {text} ({where})"}
    print(json.dumps(found), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
