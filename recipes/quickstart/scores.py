"""The scores before and after, side by side: python scores.py BEFORE AFTER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

METRICS = ("bleu-4", "rouge-1", "rouge-2", "rouge-l")


def scores(folder: str) -> dict[str, float]:
    """The scores of the predictions in a run's output folder."""
    return json.loads((Path(folder) / "predict_results.json").read_text("utf-8"))


def sample(folder: str) -> dict[str, str]:
    """The first prediction there, with what was wanted."""
    with (Path(folder) / "generated_predictions.txt").open(encoding="utf-8") as lines:
        return json.loads(next(lines))


def main(before: str, after: str) -> None:
    """Prints both, and the first row's answers."""
    first, second = scores(before), scores(after)
    print(f"{'':10}{'before':>10}{'after':>10}")
    for metric in METRICS:
        values = (first[f"predict_{metric}"], second[f"predict_{metric}"])
        print(f"{metric:10}{values[0]:10.2f}{values[1]:10.2f}")
    print(f"\nwanted  {sample(after)['labels']}")
    print(f"before  {sample(before)['predict']}\nafter   {sample(after)['predict']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
