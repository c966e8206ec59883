"""CRATE against GPT-2 at each size: by metric, explainer, amount of text, layer and point of training."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cratelm.protocols import ENDPOINT, PAPER_METRICS
from cratelm.report.figures import looks, new_figure, reach, svg
from cratelm.report.measured import Estimate
from cratelm.reproduce.cell import BINS
from cratelm.reproduce.matrix import BEYOND, CEILING, DESIGNS_AT, EXPLAINERS, PAIR
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.results import (
    ENDPOINT_NAME,
    ENDPOINT_SCORE,
    LESS,
    Number,
    Results,
    Table,
    above_control,
    decimal,
    delta_loss,
    dictionaries,
    estimate,
    latents,
    latents_statistic,
    loss,
    mean,
    means,
    own_score,
    paired,
    paired_at_loss,
    pairs,
    score,
    shuffled,
    stages,
    statistic,
    versus,
    with_interval,
)
from cratelm.reproduce.store import Key, Result

SCORES: dict[str, Number] = {f"{metric}, {ENDPOINT.explainer}": own_score(metric) for metric in PAPER_METRICS}
SHARE: dict[str, Number] = {"token share": statistic("token_share")}
BY_EXPLAINER = {explainer: score(explainer, ENDPOINT.metric) for explainer in (*EXPLAINERS, CEILING)} | SHARE


def differences(results: Results) -> Table:
    """CRATE minus GPT-2 by each metric, paired by seed, and what may lie behind it."""
    beside = {
        f"{ENDPOINT.metric}, {explainer}": score(explainer, ENDPOINT.metric)
        for explainer in EXPLAINERS
        if explainer != ENDPOINT.explainer
    }
    numbers = SCORES | beside | {"loss, nats": loss} | SHARE
    rows = [
        [corpus, str(layers), *(with_interval(paired(*pair, number)) for number in numbers.values())]
        for corpus, layers, pair in pairs(results)
    ]
    return ["corpus", "L", *numbers], rows


def at_equal_loss(results: Results) -> Table:
    """The same against GPT-2 at the point of its training where it loses as much as CRATE does in the end."""
    numbers = SCORES | SHARE
    rows = [
        [corpus, str(layers), *(with_interval(paired_at_loss(*pair, number)) for number in numbers.values())]
        for corpus, layers, pair in pairs(results)
        if math.isfinite(paired_at_loss(*pair, loss)[0])
    ]
    return ["corpus", "L", *numbers], rows


def by_explainer(results: Results) -> Table:
    """Random-only by each explainer, next to the token share: each model, and CRATE minus GPT-2."""
    numbers = [*BY_EXPLAINER.values()]
    rows = [row for corpus, layers, cells in pairs(results) for row in versus([corpus, str(layers)], cells, numbers)]
    return ["corpus", "L", "model", *BY_EXPLAINER], rows


def reasons(results: Results) -> Table:
    """AUROC, consistency and specificity of each model's units, their shuffled control, and CRATE minus GPT-2."""
    rows = []
    for corpus, layers, cells in pairs(results):
        named = [corpus, str(layers)]
        rows += [[*named, model, *_with_controls(model_cells)] for model, model_cells in zip(PAIR, cells, strict=True)]
        for how, number_of in (("", score), (", above the control", above_control)):
            less = [with_interval(paired(*cells, number_of(ENDPOINT.explainer, metric))) for metric in BEYOND]
            rate = with_interval(paired(*cells, statistic("firing_rate"))) if number_of is score else ""
            rows.append([*named, f"{LESS}{how}", *less, rate])
    return ["corpus", "L", "model", *BEYOND, "firing rate"], rows


def _with_controls(cells: Sequence[Result]) -> list[str]:
    """Means over seeds, in brackets those of another unit's explanation."""
    with_control = [
        (mean(cells, own_score(metric)), mean(cells, shuffled(ENDPOINT.explainer, metric))) for metric in BEYOND
    ]
    shown = [f"{decimal(value)} ({decimal(control)})" for value, control in with_control]
    return [*shown, decimal(mean(cells, statistic("firing_rate")))]


def autoencoders(results: Results) -> Table:
    """Autoencoders on the trained models: their cost, and the latents' scores next to those of the model's units."""
    rows = []
    for layers, model in product(results.sizes, PAIR):
        cells = results.main(group="sizes", layers=layers, model=model)
        fitted = [cell for cell in cells if cell.get("autoencoders")]
        for name in fitted[0]["autoencoders"] if fitted else ():
            pairs = [(latents(name, metric), own_score(metric)) for metric in PAPER_METRICS]
            pairs.append((latents_statistic(name, "token_share"), statistic("token_share")))
            pair = [(mean(fitted, theirs), mean(fitted, own)) for theirs, own in pairs]
            cost = decimal(mean(fitted, delta_loss(name)), 4)
            rows.append([str(layers), model, name, str(len(fitted)), cost, *(f"{a:.3f} ({b:.3f})" for a, b in pair)])
    return ["L", "model", "dictionary", "seeds", "nats added", *PAPER_METRICS, "token share"], rows


def by_layer(results: Results) -> Table:
    """Every layer: scores, what the units depend on, how sparse they are; mean over seeds."""
    rows = []
    for layers, model in product(results.sizes, results.values("model")):
        cells = results.main(group="sizes", layers=layers, model=model)
        for layer in range(layers) if cells else ():
            numbers = [own_score(metric, layer) for metric in PAPER_METRICS]
            numbers += [statistic("token_share", layer), statistic("active_share", layer), statistic("hoyer", layer)]
            rows.append([str(layers), model, str(layer), *means(cells, numbers)])
    return ["L", "model", "layer", *PAPER_METRICS, "token share", "active units", "Hoyer"], rows


def progress(results: Results) -> Table:
    """Along the training: loss, the primary score, token share; mean over seeds."""
    rows = []
    for layers, model in product(results.sizes, results.values("model")):
        cells = results.main(group="sizes", layers=layers, model=model)
        for stage in stages(cells[0]) if cells else ():
            numbers = (loss, ENDPOINT_SCORE, statistic("token_share"))
            rows.append([str(layers), model, stage, *(decimal(mean(cells, number, stage)) for number in numbers)])
    return ["L", "model", "share of training", "nats a token", ENDPOINT_NAME, "token share"], rows


def draw_layers(results: Results) -> str | None:
    """Scores by layer for each L and metric, and of the latents of autoencoders; mean over seeds with its interval."""
    if not results.sizes:
        return None
    figure, axes = new_figure(columns=len(PAPER_METRICS), rows=len(results.sizes))
    for (row, layers), (column, metric) in product(enumerate(results.sizes), enumerate(PAPER_METRICS)):
        panel: Axes = axes[row][column]
        series = [*_series(results, metric, layers)]
        for place, (label, style, estimates) in enumerate(series):
            apart = 0.05 * (place - (len(series) - 1) / 2)  # else the bars of one layer would hide each other
            across, means = [layer + apart for layer in range(layers)], [one.mean for one in estimates]
            panel.errorbar(across, means, reach(estimates), elinewidth=0.8, label=label, **style)
        panel.set(xlabel=f"layer of L = {layers}", ylabel=metric, xticks=range(layers), xlim=(-0.4, layers - 0.6))
    _legend_of_all(figure, axes)
    return svg(figure)


def _series(results: Results, metric: str, layers: int) -> Iterator[tuple[str, dict[str, Any], list[Estimate]]]:
    """What is drawn of each model and each set of latents: its name, its look, and an estimate a layer."""
    for (colour, mark, _), model in zip(looks(), results.values("model"), strict=False):
        cells = results.main(group="sizes", layers=layers, model=model)
        if cells:
            look = {"color": colour, "marker": mark}
            yield model, look, [estimate(cells, own_score(metric, layer)) for layer in range(layers)]
        for dictionary, line in zip(dictionaries(cells), ("--", ":"), strict=False):
            fitted = [cell for cell in cells if cell.get("autoencoders")]
            look = {"color": colour, "marker": mark, "markersize": 3, "linestyle": line}
            of_latents = [estimate(fitted, latents(dictionary, metric, layer)) for layer in range(layers)]
            yield f"{model}+sae-{dictionary}", look, of_latents


def _legend_of_all(figure: Figure, axes: np.ndarray) -> None:
    named = {text: line for panel in axes.flat for line, text in zip(*panel.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside right center")


def draw_progress(results: Results) -> str:
    """The primary score against the loss along the training, a line a seed."""
    figure, axes = new_figure(columns=2)
    for axis, (label, number) in zip(axes[0], ({ENDPOINT_NAME: ENDPOINT_SCORE} | SHARE).items(), strict=True):
        for (colour, mark, line), model in zip(looks(), PAIR, strict=False):
            for cell in results.main(group="sizes", layers=DESIGNS_AT, model=model):
                points = [(loss(cell, stage), number(cell, stage)) for stage in stages(cell) if stage != "0"]
                axis.plot(*zip(*points, strict=True), marker=mark, linestyle=line, color=colour, label=model)
        axis.set(xlabel="validation loss, nats a token (training goes left)", ylabel=label)
    handles = {text: line for line, text in zip(*axes[0][0].get_legend_handles_labels(), strict=True)}
    if handles:
        axes[0][0].legend(handles.values(), handles.keys())
    return svg(figure)


def draw_histograms(results: Results) -> str:
    """How the units' random-only scores are spread, all seeds together."""
    figure, axes = new_figure(columns=2)
    for axis, model in zip(axes[0], PAIR, strict=True):
        for (colour, _, line), layer in zip(looks(), range(2), strict=False):
            cells = results.main(group="sizes", layers=DESIGNS_AT, model=model)
            if cells:
                counts = [cell["numbers"][Key("histogram", layer=str(layer))] for cell in cells]
                axis.stairs(np.sum(counts, axis=0), BINS, color=colour, linestyle=line, label=f"layer {layer}")
        axis.set(xlabel=f"random-only score of a unit, {model}", ylabel="units")
        if axis.get_legend_handles_labels()[0]:
            axis.legend()
    return svg(figure)


DIFFERENCES = Comparison(name="differences", order=40, title="CRATE minus GPT-2", table=differences)
AT_EQUAL_LOSS = Comparison(
    name="equal-loss",
    order=50,
    title="CRATE minus GPT-2, at CRATE's validation loss",
    table=at_equal_loss,
    text="""GPT-2's numbers at the point of its training where it loses as much as CRATE does in the end, interpolated
between the points that were measured. A model that was stopped early differs from a trained one in more than its
loss.""",
)
EXPLAINED = Comparison(
    name="explainers",
    order=100,
    title="How much an explanation holds",
    table=by_explainer,
    text="""Random-only, mean over seeds. `table` knows the tokens of the excerpts that an explainer is shown, `graph`
the one or two before them as well, `table-full` the unit's mean on every token of the whole explain half: the ceiling
of what any table of tokens can say, here of a sample of units (docs/scoring.md).""",
)
FIRING = Comparison(
    name="firing",
    order=110,
    title="Do units fire consistently and distinctively?",
    table=reasons,
    text="""The paper's reason for its scores, by `table`; in brackets with another unit's explanation, the control.
*Consistency*: how much of a unit's activation on its top excerpts falls where the explanation expects it.
*Specificity*: how rarely it fires elsewhere on random text. Both reward an explanation that names everything, which the
control shows; *auroc* does not (docs/scoring.md). A dash: the cells have no valid control.""",
)
AUTOENCODERS = Comparison(
    name="autoencoders",
    order=160,
    title="Autoencoders",
    table=autoencoders,
    text="""In brackets the model's own units. *Nats added*: by the reconstructions of all layers at once, in the place
of the codes. The paper's are 16 times as wide as the code (docs/sae.md).""",
)
EVERY_LAYER = Comparison(name="layers", order=200, title="Every layer", table=by_layer, figure=draw_layers)
PROGRESS = Comparison(name="progress", order=210, title="Along the training", table=progress, figure=draw_progress)
HISTOGRAMS = Comparison(name="histograms", order=260, title="How scores are spread", figure=draw_histograms)
