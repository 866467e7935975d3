"""How many rows of the test came out exactly, and a few of both kinds: python scores.py FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SHOWN = 4


def main(folder: str) -> None:
    """Prints the share, rows that are right, and rows that are not."""
    metrics = json.loads((Path(folder) / "predict_results.json").read_text("utf-8"))
    rows = [
        json.loads(line)
        for line in (Path(folder) / "generated_predictions.txt").read_text("utf-8").splitlines()
    ]
    wrong = [row for row in rows if row["labels"] != row["predict"]]
    right = [row for row in rows if row["labels"] == row["predict"]]
    print(f"exact on {metrics['predict_exact_match']:.1f} % of {len(rows)} unseen rows")
    for row in right[:SHOWN]:
        print(f"  {row['predict']}")
    for row in wrong[:SHOWN]:
        print(f"  {row['predict']}   (wanted {row['labels']})")


if __name__ == "__main__":
    main(*sys.argv[1:])
