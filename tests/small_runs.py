"""Small runs as people start them: rows, an official kind of script, and the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from foretune.cli import main
from foretune.formats.read import read
from foretune.params.run import Run
from foretune.train.conduct import build_trainer, execute, open_run
from foretune.train.report import Report
from foretune.train.trainer import MethodTrainer

ADVERTS = Path(__file__).parents[1] / "recipes" / "quickstart" / "train.json"

FLAGS: dict[str, object] = {
    "prompt_column": "content", "response_column": "summary",
    "max_source_length": 24, "max_target_length": 16,
    "per_device_train_batch_size": 2, "per_device_eval_batch_size": 4,
    "learning_rate": 2e-2, "pre_seq_len": 4, "logging_steps": 1, "save_steps": 1000,
    "max_steps": 3, "disable_tqdm": "true",
}  # fmt: skip
"""What every small run says, unless a test says otherwise. None leaves a flag out."""


def adverts(count: int) -> list[dict[str, str]]:
    """The first rows of the shipped ad copy."""
    with ADVERTS.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, count)]


def write_rows(file: Path, rows: int | Sequence[Any]) -> Path:
    """A file of rows, one JSON object a line; of the first so many adverts for a number."""
    found = adverts(rows) if isinstance(rows, int) else rows
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in found]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines), encoding="utf-8")
    return file


def words(**flags: object) -> list[str]:
    """Flags as words of a command line; True is a bare flag, None none, a list several words."""
    found: list[str] = []
    for name, value in (FLAGS | flags).items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        found += [f"--{name}", *map(str, values)]
    return found


def training(folder: Path, base: Path, *, rows: int = 6, **flags: object) -> list[str]:
    """The words of a run that trains on ``rows`` adverts and writes to ``folder``/out."""
    file = write_rows(folder / "train.json", rows)
    told = {"model_name_or_path": base, "train_file": file, "output_dir": folder / "out"}
    return words(**{"do_train": True, **told, **flags})


def run_of(line: Sequence[str]) -> Run:
    """The run that a command line describes."""
    return read(flags=list(line))


def trained(folder: Path, base: Path, *, rows: int = 6, **flags: object) -> Report:
    """The report of a run that trained here."""
    return execute(run_of(training(folder, base, rows=rows, **flags)), say=lambda _: None)


def trainer_of(line: Sequence[str]) -> MethodTrainer:
    """The trainer of a run, with the model and the method on it, before the first step."""
    return build_trainer(open_run(run_of(line), lambda _: None))


def script(file: Path, line: Sequence[str], launcher: str = "python3 main.py") -> Path:
    """An official kind of script that starts a run with these words."""
    flags = " \\\n    ".join(_flag_lines(line))
    file.write_text(f"PRE_SEQ_LEN=4\n\n{launcher} \\\n    {flags}\n", encoding="utf-8")
    return file


def _flag_lines(line: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for word in line:
        if word.startswith("--"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return lines


def foretune(*line: object) -> int:
    """The exit status of a command line, run in this process."""
    return main([str(word) for word in line])


def listing(folder: Path) -> dict[str, str]:
    """Every file under a folder with a digest of its content; folders with an empty one."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in sorted(folder.rglob("*"))
    }


def prefix_of(checkpoint: Path) -> dict[str, Any]:
    """The tensors of a prefix checkpoint."""
    from safetensors.torch import load_file

    return load_file(checkpoint / "prefix_encoder.safetensors")
