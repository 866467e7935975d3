"""How fast `foretune plan --fit` goes through a space, beside computing every candidate of it.

    python benchmarks/search.py [--rounds 3]

Each row is a model and the GPUs that it is fitted to, with the total batch free, so that spaces are
large. A candidate is seen when it is computed or ruled out by a smaller one that does not fit. The
peer computes memory and time of every candidate with the same public functions
(``plan.memory.peak.memory``, ``plan.step_time.step_time``) and keeps none. Times are of the
processor, the best of the rounds.

On a 2-core machine that was busy with other work (load 6; best of 3):

                                          seen  computed     fit       s    per s  peer s  ratio
    8B, laptop on 1xRTX 4070 8GB         1,584       792      54    0.03   49,585    0.17   0.19
    8B on 4x4090                         7,304     3,899   1,124    0.19   39,350    0.81   0.23
    8B on 8xH100                        10,064     7,050   4,367    0.43   23,461    1.08   0.40
    70B on 8xH100                       10,064     5,388   1,290    0.23   44,644    1.07   0.21
    8B on 16384xH100                    11,188    10,680   9,823    1.93    5,783    1.75   1.10
    70B on 16384xH100                   10,076     8,325   4,774    1.33    7,604    1.55   0.86

On thousands of GPUs almost everything fits, and the front of ten thousand is drawn besides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

from foretune.facts import Facts
from foretune.params.run import Run
from foretune.plan.decoder import decoder_shape
from foretune.plan.memory.peak import memory
from foretune.plan.search.answer import answer, space_of
from foretune.plan.search.offer import offers
from foretune.plan.search.search import Found, Search, Task
from foretune.plan.step_time import step_time

LLAMA_8B = decoder_shape(
    hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128, ffn=14336, vocab=128256
)
LLAMA_70B = decoder_shape(
    hidden=8192, layers=80, heads=64, kv_heads=8, head_dim=128, ffn=28672, vocab=128256
)
TRAINS: dict[str, object] = {
    "launch.train": True,
    "precision.mixed": "bf16",
    "batch.micro": 1,
    "batch.accumulation": 16,
    "data.max_length": 2048,
}
ROWS = [
    ("8B, laptop", LLAMA_8B, "1xRTX 4070 8GB"),
    ("8B", LLAMA_8B, "4x4090"),
    ("8B", LLAMA_8B, "8xH100"),
    ("70B", LLAMA_70B, "8xH100"),
    ("8B", LLAMA_8B, "16384xH100"),
    ("70B", LLAMA_70B, "16384xH100"),
]


def every_candidate(task: Task, gpus: str) -> int:
    """Computes all of a space; how many they were."""
    (offer,) = offers(gpus)
    space = space_of(task, offer, frozenset(), free_batch=True)
    search = Search(task=task, space=space, found=Found())
    count = 0
    for base in space.bases():
        at = search.place(base)
        for micro, accumulation in space.batches(base):
            setup = replace(at.setup, micro=micro, accumulation=accumulation)
            memory(task.shape, setup, offer.device)
            step_time(task.shape, setup, offer.hardware)
            count += 1
    return count


def best(rounds: int, run: Callable[[], object]) -> float:
    """Seconds of the processor, of the fastest round."""

    def once() -> float:
        clock = time.process_time()
        run()
        return time.process_time() - clock

    return min(once() for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(
        f"{'':34}{'seen':>8}{'computed':>10}{'fit':>8}{'s':>8}{'per s':>9}{'peer s':>8}{'ratio':>7}"
    )
    for name, shape, gpus in ROWS:
        task = Task(written=Run().set(TRAINS), shape=shape, facts=Facts(transformers="5.23.0"))

        def search(task: Task = task, gpus: str = gpus) -> object:
            return answer(task, offers(gpus), free_batch=True)

        found = answer(task, offers(gpus), free_batch=True)
        ours = best(rounds, search)
        count = 0

        def peer(task: Task = task, gpus: str = gpus) -> None:
            nonlocal count
            count = every_candidate(task, gpus)

        theirs = best(1, peer)
        assert count == found.seen
        print(
            f"{name + ' on ' + gpus:34}{found.seen:>8,}{found.evaluated:>10,}{found.fitting:>8,}"
            f"{ours:>8.2f}{found.seen / ours:>9,.0f}{theirs:>8.2f}{ours / theirs:>7.2f}"
        )


if __name__ == "__main__":
    main()
