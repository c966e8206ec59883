"""The report's figures, as SVG text; the same numbers give the same bytes."""

import io
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cratelm.protocols import ENDPOINT
from cratelm.report.labels import label_ends
from cratelm.report.measured import Estimate, Measured
from cratelm.report.rows import CEILING, Pair, shown_metrics
from cratelm.training.curve import read_curve

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, which colour-blind people can tell apart."""


class Look(NamedTuple):
    """How a model is drawn. Its mark and its line tell it from others in black and white, too."""

    colour: str
    mark: str
    line: str | tuple[int, tuple[int, ...]]


LOOKS = tuple(map(Look, COLOURS, "os^Dv*", ("-", "--", ":", "-.", (0, (8, 2)), (0, (1, 4)))))
STYLE = {
    # Without it the names of clip paths are random, and no two runs give the same bytes.
    "svg.hashsalt": "cratelm",
    # Text stays text, which can be searched and is smaller than outlines.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}


def looks() -> Iterator[Look]:
    """A look for each model, in the models' order; again from the first when they are used up."""
    return cycle(LOOKS)


def svg(figure: Figure) -> str:
    """A figure as SVG text without a date, on white: a dark page would hide its letters."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    # Inside an HTML page there is no place for an XML declaration.
    return text[text.index("<svg") :]


def new_figure(
    columns: int, rows: int = 1, height: float = 3.2, *, width: float = 4.4, shared: bool = False
) -> tuple[Figure, np.ndarray]:
    """An empty figure and its axes, (rows, columns), each so many inches large; with `shared`, of the same scales."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)


def reach(estimates: Sequence[Estimate]) -> np.ndarray:
    """How far the ends of intervals lie from their means, as matplotlib's error bars take it: (2, estimates)."""
    return np.array([[one.mean - one.low for one in estimates], [one.high - one.mean for one in estimates]])


def layer_curves(pairs: Sequence[Pair]) -> str:
    """The mean score by layer and metric with its interval; dashed: before training; dotted: the ceiling."""
    with matplotlib.rc_context(STYLE):
        metrics = shown_metrics(trained for trained, _ in pairs)
        figure, axes = new_figure(2, (len(metrics) + 1) // 2, shared=True)
        for blank in axes.flat[len(metrics) :]:
            blank.set_axis_off()
        for axis, metric in zip(axes.flat, metrics, strict=False):
            ends = []
            for (trained, untrained), (colour, mark, _) in zip(pairs, looks(), strict=False):
                layers = list(range(len(trained.layers)))
                estimates = [trained.score(ENDPOINT.explainer, metric, layer) for layer in layers]
                means = [estimate.mean for estimate in estimates]
                axis.plot(layers, means, f"{mark}-", color=colour)
                ends.append((layers[-1], means[-1], trained.name, colour))
                axis.errorbar(layers, means, reach(estimates), color=colour, capsize=3, fmt="none")
                before = [untrained.mean(ENDPOINT.explainer, metric, layer) for layer in layers]
                axis.plot(layers, before, "x--", color=colour, alpha=0.6)
                if trained.has(CEILING, metric):
                    most = [trained.mean(CEILING, metric, layer) for layer in layers]
                    axis.plot(layers, most, ".:", color=colour, alpha=0.6)
            axis.set(
                title=metric,
                xlabel="layer",
                ylabel="mean score",
                xticks=range(max(len(model.layers) for model, _ in pairs)),
                ylim=(0, 1),
            )
            label_ends(axis, ends)
        return svg(figure)


def loss_curves(pairs: Sequence[Pair]) -> str:
    """Training loss (thin) and validation loss (dots) by tokens seen."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        axis = figure.subplots()
        ends = []
        for (trained, _), (colour, mark, line) in zip(pairs, looks(), strict=False):
            rows = read_curve(trained.model.path)
            for key, style, sign in (("loss", line, ""), ("validation_loss", "", mark)):
                points = [(row["tokens"] / 1e6, row[key]) for row in rows if key in row]
                if points:
                    axis.plot(
                        *zip(*points, strict=True), linestyle=style, marker=sign, color=colour, lw=0.8, markersize=4
                    )
                    ends.append((*points[-1], trained.name, colour))
        axis.set(xlabel="million tokens", ylabel="nats a token")
        label_ends(axis, list({end[2]: end for end in ends}.values()))
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
                for model, (colour, _, line) in zip(models, looks(), strict=False):
                    if layer < len(model.layers):
                        scores = model.units["score"][model.rows(ENDPOINT.explainer, metric, layer)]
                        style = {"facecolor": (colour, 0.35), "edgecolor": colour, "linestyle": line}
                        axis.hist(scores, bins, histtype="stepfilled", label=model.name, **style)
                axis.set(title=f"{metric}, layer {layer}", xlabel="score", ylabel="units")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
        return svg(figure)
