"""The analysis by layer, drawn: the trained model in full lines, the untrained one in dashed ones."""

from typing import Any

import matplotlib
from matplotlib.axes import Axes

from cratelm.report.figures import COLOURS, STYLE, new_figure, svg

LINES = {"trained": "-", "untrained": "--"}
PLACES = ("before", "between", "after")


def draw(name: str, rows: list[dict[str, Any]]) -> str:
    """Four panels as SVG: coding rate and compression along the half-blocks, sparsity, and ISTA's objective."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(columns=2, rows=2)
        _along(axes[0][0], rows, "rate", "coding rate R(Z), nats")
        _along(axes[0][1], rows, "compression", "compression R^c(Z; U), nats")
        _by_layer(axes[1][0], rows, {"active_share": "share of units active", "hoyer": "Hoyer sparsity"})
        _objectives(axes[1][1], rows)
        figure.suptitle(f"{name}: full lines trained, dashed lines untrained")
        return svg(figure)


def _of(rows: list[dict[str, Any]], weights: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["weights"] == weights]


def _along(axes: Axes, rows: list[dict[str, Any]], quantity: str, label: str) -> None:
    """One line a layer, from before it to after it."""
    for weights, line in LINES.items():
        for row in _of(rows, weights):
            places = [row["layer"] + half / 2 for half in range(3)]
            values = [row[f"{quantity}_{place}"] for place in PLACES]
            axes.plot(places, values, line, marker="o", color=COLOURS[row["layer"] % len(COLOURS)])
    axes.set(xlabel="layer; halves lie between its half-blocks", ylabel=label)


def _by_layer(axes: Axes, rows: list[dict[str, Any]], numbers: dict[str, str]) -> None:
    for weights, line in LINES.items():
        for colour, (column, label) in zip(COLOURS, numbers.items(), strict=False):
            values = [row[column] for row in _of(rows, weights)]
            axes.plot(values, line, marker="o", color=colour, label=label if weights == "trained" else None)
    axes.set(xlabel="layer", xticks=range(len(_of(rows, "trained"))), ylim=(0, 1))
    axes.legend()


def _objectives(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """The lasso objective by the number of ISTA steps; nothing for an MLP."""
    drawn = [row for row in rows if row["objectives"]]
    for row in drawn:
        label = f"layer {row['layer']}" if row["weights"] == "trained" else None
        colour = COLOURS[row["layer"] % len(COLOURS)]
        axes.plot(row["objectives"], LINES[row["weights"]], marker="o", color=colour, label=label)
    axes.set(xlabel="ISTA steps done", ylabel="lasso objective a token")
    if drawn:
        axes.set_xticks(range(len(drawn[0]["objectives"])))
        axes.legend()
    else:
        axes.text(0.5, 0.5, "an MLP solves no lasso", ha="center", transform=axes.transAxes)
