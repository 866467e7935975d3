"""Start-up of the quick verbs as whole processes, beside the help of other programs.

    python benchmarks/startup.py [--rounds 10] [--folder DIR]

The folder holds a config.json and a train.sh; without one they are written: ChatGLM2-6B as it was
published, and the authors' training script. Every round runs each command once, ours and the peers'
in turns, so that a busy machine is busy for all; CPU time is user and system time of the process,
and of CPU and wall time the best round counts. The ratio is of CPU time to that of importing
pydantic's models, which ours cannot do without.

pydantic 2.14.3, transformers 5.23.0, accelerate 1.15.0, Python 3.11.7, with the compiled modules
that an installation has (best of 10, on a machine that other jobs used as well):

                                            CPU      wall   ratio
    foretune --help                       0.039 s   0.040 s    0.33
    foretune explain config.json          0.302 s   0.303 s    2.56
    foretune explain config.json train.sh 0.393 s   0.394 s    3.33
    foretune check config.json            0.319 s   0.323 s    2.70
    foretune check config.json train.sh   0.340 s   0.341 s    2.88
    foretune explain pre_seq_len          0.412 s   0.412 s    3.49
    python, nothing else                  0.011 s   0.012 s    0.10
    import pydantic's models              0.118 s   0.121 s    1.00
    import transformers                   0.778 s   0.781 s    6.59
    accelerate --help                     2.521 s   2.466 s   21.34
    transformers --help                   2.444 s   2.352 s   20.69
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from foretune.params.arch.chatglm2 import ChatGLM2

SCRIPT = """\
PRE_SEQ_LEN=128
LR=2e-2
NUM_GPUS=1

torchrun --standalone --nnodes=1 --nproc-per-node=$NUM_GPUS main.py \\
    --do_train --train_file AdvertiseGen/train.json --validation_file AdvertiseGen/dev.json \\
    --prompt_column content --response_column summary --overwrite_cache \\
    --model_name_or_path THUDM/chatglm2-6b --output_dir output/adgen-$PRE_SEQ_LEN-$LR \\
    --overwrite_output_dir --max_source_length 64 --max_target_length 128 \\
    --per_device_train_batch_size 1 --gradient_accumulation_steps 16 --max_steps 3000 \\
    --logging_steps 10 --save_steps 1000 --learning_rate $LR --pre_seq_len $PRE_SEQ_LEN \\
    --quantization_bit 4
"""
OURS = {
    "--help": ["--help"],
    "explain config.json": ["explain", "config.json"],
    "explain config.json train.sh": ["explain", "config.json", "train.sh"],
    "check config.json": ["check", "config.json"],
    "check config.json train.sh": ["check", "config.json", "train.sh"],
    "explain pre_seq_len": ["explain", "pre_seq_len"],
}
UNIT = "import pydantic's models"
PEERS = {
    "python, nothing else": [sys.executable, "-c", ""],
    UNIT: [sys.executable, "-c", "from pydantic import BaseModel, Field"],
    "import transformers": [sys.executable, "-c", "import transformers"],
    "accelerate --help": ["accelerate", "--help"],
    "transformers --help": ["transformers", "--help"],
}
BESIDE = str(Path(sys.executable).parent)


class Seconds(NamedTuple):
    """What a process took."""

    cpu: float
    wall: float


def run(command: list[str], folder: Path) -> Seconds:
    """One process from beginning to end."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def commands() -> dict[str, list[str]]:
    """Ours and those of the peers that are installed, by what they are called here."""
    path = os.pathsep.join([BESIDE, os.environ.get("PATH", "")])
    ours = {
        f"foretune {name}": [sys.executable, "-m", "foretune", *of] for name, of in OURS.items()
    }
    found = {name: (shutil.which(first, path=path), rest) for name, (first, *rest) in PEERS.items()}
    return ours | {name: [first, *rest] for name, (first, rest) in found.items() if first}


def best(rounds: int, folder: Path) -> dict[str, Seconds]:
    """The best of the rounds, after one that is not counted."""
    taken: dict[str, list[Seconds]] = {name: [] for name in commands()}
    for _ in range(rounds + 1):
        for name, command in commands().items():
            taken[name].append(run(command, folder))
    return {
        name: Seconds(*(min(column) for column in zip(*of[1:], strict=True)))
        for name, of in taken.items()
    }


def write_files(folder: Path) -> None:
    """A config.json and a train.sh."""
    (folder / "config.json").write_text(json.dumps(dict(ChatGLM2.published), indent=1))
    (folder / "train.sh").write_text(SCRIPT, encoding="utf-8")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--rounds", type=int, default=10)
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = given.folder or Path(temporary)
        if given.folder is None:
            write_files(folder)
        figures = best(given.rounds, folder)
    print(f"{'':38}{'CPU':>9}{'wall':>10}{'ratio':>8}")
    for name, took in figures.items():
        ratio = took.cpu / figures[UNIT].cpu
        print(f"{name:38}{took.cpu:7.3f} s{took.wall:8.3f} s{ratio:8.2f}")


if __name__ == "__main__":
    main()
