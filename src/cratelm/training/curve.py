"""A training's loss curve as files."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

COLUMNS = ("step", "tokens", "loss", "validation_loss", "learning_rate", "grad_norm")


def write_curve(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """Write losses.jsonl, losses.csv and losses.png; the same losses give the same bytes."""
    lines = "".join(json.dumps(row) + "\n" for row in history)
    (folder / "losses.jsonl").write_text(lines, encoding="utf-8")
    with (folder / "losses.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    _picture(history).savefig(folder / "losses.png", dpi=120, metadata={"Software": None})


def read_curve(folder: Path) -> list[dict[str, float]]:
    """What `write_curve` wrote: a row a logged step, of which some have a `validation_loss`."""
    lines = (folder / "losses.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _picture(history: Sequence[dict[str, float]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for key, style in (("loss", "-"), ("validation_loss", "o")):
        points = [(row["tokens"] / 1e6, row[key]) for row in history if key in row]
        if points:
            axis.plot(*zip(*points, strict=True), style, label=key.replace("_", " "), linewidth=0.9, markersize=4)
    axis.set(xlabel="million tokens", ylabel="nats a token")
    if history:
        axis.legend(frameon=False)
    return figure
