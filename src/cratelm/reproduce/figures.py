"""The figures of the reproduction, as SVG."""

from collections.abc import Iterable, Mapping
from itertools import product

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from cratelm.report.figures import COLOURS, STYLE, colours, new_figure, svg
from cratelm.reproduce.cell import BINS
from cratelm.reproduce.context import designs
from cratelm.reproduce.gather import (
    Result,
    Results,
    dictionaries,
    latents,
    loss,
    mean,
    score,
    stages,
    statistic,
)
from cratelm.reproduce.matrix import PAIR
from cratelm.reproduce.store import Key
from cratelm.score.registry import HEADLINE_METRICS

NUMBERS = {"random-only, table": score("table", "random-only"), "token share": statistic("token_share")}


def draw_all(results: Results) -> dict[str, str]:
    """Every figure that the cells are enough for, by name."""
    with matplotlib.rc_context(STYLE):
        return {
            "frontier": _frontier(results),
            "layers": _layers(results),
            "progress": _progress(results),
            "losses": _losses(results),
            "context": _context(results),
            "histograms": _histograms(results),
        }


def _frontier(results: Results) -> str:
    """What is paid against what is got, at L = 2: the primary score and the token share over the loss."""
    points = {}
    for model in results.values("model"):
        cells = results.main(layers=2, model=model)
        if cells:
            points[model] = (mean(cells, loss), *(mean(cells, number) for number in NUMBERS.values()))
    return _numbered(points, "validation loss, nats a token", NUMBERS)


def _numbered(points: Mapping[str, tuple[float, ...]], across: str, up: Iterable[str]) -> str:
    """A dot a design, its number beside it and its name in the legend: names would lie upon each other.

    `points`: by design, what is across, and what is up in each panel.
    """
    figure, axes = new_figure(columns=2, height=4.2)
    for panel, (axis, label) in enumerate(zip(axes[0], up, strict=True)):
        for number, ((model, point), colour) in enumerate(zip(points.items(), colours(), strict=False), 1):
            at = (point[0], point[1 + panel])
            axis.plot(*at, "o", color=colour, label=f"{number} {model}")
            axis.annotate(str(number), at, xytext=(4, 3), textcoords="offset points", fontsize=8)
        axis.set(xlabel=across, ylabel=label)
    if points:
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return svg(figure)


def _layers(results: Results) -> str:
    """Scores by layer for each L and metric, and of the latents of autoencoders; mean over seeds."""
    figure, axes = new_figure(columns=len(HEADLINE_METRICS), rows=len(results.sizes))
    for (row, layers), (column, metric) in product(enumerate(results.sizes), enumerate(HEADLINE_METRICS)):
        panel: Axes = axes[row][column]
        for colour, model in zip(COLOURS, results.values("model"), strict=False):
            cells = results.main(group="sizes", layers=layers, model=model)
            if cells:
                values = [mean(cells, score("table", metric, layer)) for layer in range(layers)]
                panel.plot(values, marker="o", color=colour, label=model)
            for dictionary, style in zip(dictionaries(cells), ("--", ":"), strict=False):
                fitted = [cell for cell in cells if cell.get("autoencoders")]
                of = [mean(fitted, latents(dictionary, metric, layer)) for layer in range(layers)]
                panel.plot(of, marker=".", linestyle=style, color=colour, label=f"{model}+sae-{dictionary}")
        panel.set(xlabel=f"layer of L = {layers}", ylabel=metric, xticks=range(layers))
    named = {text: line for panel in axes.flat for line, text in zip(*panel.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside right center")
    return svg(figure)


def _progress(results: Results) -> str:
    """The primary score against the loss along the training, L = 2, a line a seed."""
    figure, axes = new_figure(columns=2)
    for place, (label, number) in enumerate(NUMBERS.items()):
        for colour, model in zip(COLOURS, PAIR, strict=False):
            for cell in results.main(group="sizes", layers=2, model=model):
                points = [(loss(cell, stage), number(cell, stage)) for stage in stages(cell) if stage != "0"]
                axes[0][place].plot(*zip(*points, strict=True), marker="o", color=colour, label=model)
        axes[0][place].set(xlabel="validation loss, nats a token (training goes left)", ylabel=label)
    handles = {text: line for line, text in zip(*axes[0][0].get_legend_handles_labels(), strict=True)}
    if handles:
        axes[0][0].legend(handles.values(), handles.keys())
    return svg(figure)


def _losses(results: Results) -> str:
    """Validation loss along the training, for each L; a line a seed."""
    figure, axes = new_figure(columns=len(results.sizes))
    for place, layers in enumerate(results.sizes):
        for colour, model in zip(COLOURS, results.values("model"), strict=False):
            for cell in results.main(group="sizes", layers=layers, model=model):
                tokens, losses = zip(*cell["curve"], strict=True)
                axes[0][place].plot(np.divide(tokens, 1e6), losses, color=colour, label=model)
        axes[0][place].set(xlabel=f"million tokens, L = {layers}", ylabel="validation loss, nats a token")
        handles = {text: line for line, text in zip(*axes[0][place].get_legend_handles_labels(), strict=True)}
        if handles:
            axes[0][place].legend(handles.values(), handles.keys())
    return svg(figure)


def _context(results: Results) -> str:
    """The primary score and the validation loss over the token share, a dot a design at L = 2."""
    points = {of.model: (of.token_share, of.score, of.loss) for of in designs(results)}
    return _numbered(points, "token share", ("random-only of units scored", "validation loss, nats a token"))


def _histograms(results: Results) -> str:
    """How the units' random-only scores are spread, at L = 2, all seeds together."""
    figure, axes = new_figure(columns=2)
    for place, model in enumerate(PAIR):
        for colour, layer in zip(COLOURS, range(2), strict=False):
            cells = results.main(group="sizes", layers=2, model=model)
            if cells:
                axes[0][place].stairs(_counts(cells, layer), BINS, color=colour, label=f"layer {layer}")
        axes[0][place].set(xlabel=f"random-only score of a unit, {model}", ylabel="units")
        if axes[0][place].get_legend_handles_labels()[0]:
            axes[0][place].legend()
    return svg(figure)


def _counts(cells: list[Result], layer: int) -> np.ndarray:
    return np.sum([cell["numbers"][Key("histogram", layer=str(layer))] for cell in cells], axis=0)
