"""The report's figures, as SVG text; the same numbers give the same bytes."""

import io
from collections.abc import Iterator, Sequence
from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cratelm.protocols import ENDPOINT
from cratelm.report.measured import Measured
from cratelm.report.rows import CEILING, Pair, shown_metrics
from cratelm.training.curve import read_curve

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, which colour-blind people can tell apart."""
STYLE = {
    # Without it the names of clip paths are random, and no two runs give the same bytes.
    "svg.hashsalt": "cratelm",
    # Text stays text, which can be searched and is smaller than outlines.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}


def colours() -> Iterator[str]:
    """A colour for each model, in the models' order; again from the first when they are used up."""
    return cycle(COLOURS)


def svg(figure: Figure) -> str:
    """A figure as SVG text without a date."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    # Inside an HTML page there is no place for an XML declaration.
    return text[text.index("<svg") :]


def new_figure(columns: int, rows: int = 1, height: float = 3.2, *, shared: bool = False) -> tuple[Figure, np.ndarray]:
    """An empty figure and its axes, (rows, columns); with `shared`, all have the same scales."""
    figure = Figure(figsize=(4.4 * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)


def label_ends(axis: Axes, ends: Sequence[tuple[float, float, str, str]], room: float) -> None:
    """Names after the right ends of curves (x, y, name, colour), from the lowest up, at least `room` apart."""
    lowest = -np.inf
    for x, y, name, colour in sorted(ends, key=lambda end: end[1]):
        lowest = max(y, lowest + room)
        axis.text(x, lowest, f"  {name}", color=colour, fontsize=8, va="center")


def layer_curves(pairs: Sequence[Pair]) -> str:
    """The mean score by layer and metric with its interval; dashed: before training; dotted: the ceiling."""
    with matplotlib.rc_context(STYLE):
        metrics = shown_metrics(trained for trained, _ in pairs)
        figure, axes = new_figure(len(metrics), shared=True)
        for axis, metric in zip(axes[0], metrics, strict=True):
            ends = []
            for (trained, untrained), colour in zip(pairs, colours(), strict=False):
                layers = list(range(len(trained.layers)))
                estimates = [trained.score(ENDPOINT.explainer, metric, layer) for layer in layers]
                means = [estimate.mean for estimate in estimates]
                axis.plot(layers, means, "o-", color=colour)
                ends.append((layers[-1], means[-1], trained.name, colour))
                lows, highs = [estimate.low for estimate in estimates], [estimate.high for estimate in estimates]
                axis.errorbar(
                    layers, means, np.abs(np.array([lows, highs]) - means), color=colour, capsize=3, fmt="none"
                )
                before = [untrained.mean(ENDPOINT.explainer, metric, layer) for layer in layers]
                axis.plot(layers, before, "x--", color=colour, alpha=0.6)
                if trained.has(CEILING, metric):
                    most = [trained.mean(CEILING, metric, layer) for layer in layers]
                    axis.plot(layers, most, ".:", color=colour, alpha=0.6)
            label_ends(axis, ends, room=0.05)
            axis.set(
                title=metric,
                xlabel="layer",
                ylabel="mean score",
                xticks=range(max(len(model.layers) for model, _ in pairs)),
                ylim=(0, 1),
            )
        return svg(figure)


def loss_curves(pairs: Sequence[Pair]) -> str:
    """Training loss (thin) and validation loss (dots) by tokens seen."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        axis = figure.subplots()
        for (trained, _), colour in zip(pairs, colours(), strict=False):
            rows = read_curve(trained.model.path)
            for key, style in (("loss", "-"), ("validation_loss", "o")):
                points = [(row["tokens"] / 1e6, row[key]) for row in rows if key in row]
                if points:
                    label = trained.name if key == "loss" else f"{trained.name}, validation"
                    axis.plot(*zip(*points, strict=True), style, color=colour, linewidth=0.8, markersize=4, label=label)
        axis.set(xlabel="million tokens", ylabel="nats a token")
        axis.legend(fontsize=8)
        return svg(figure)


def score_histograms(models: Sequence[Measured]) -> str:
    """How the scores of a model's units are spread, by layer and metric."""
    with matplotlib.rc_context(STYLE):
        layers = max(len(model.layers) for model in models)
        metrics = shown_metrics(models)
        figure, axes = new_figure(layers, len(metrics), height=2.4, shared=True)
        bins = np.linspace(-1, 1, 41)
        for row, metric in zip(axes, metrics, strict=True):
            for layer, axis in enumerate(row):
                for model, colour in zip(models, colours(), strict=False):
                    if layer < len(model.layers):
                        scores = model.units["score"][model.rows(ENDPOINT.explainer, metric, layer)]
                        axis.hist(scores, bins, histtype="stepfilled", color=colour, alpha=0.45, label=model.name)
                axis.set(title=f"{metric}, layer {layer}", xlabel="score", ylabel="units")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
        return svg(figure)
