"""Units of two models compared where they depend on their token alike.

A mean over a model mixes two things: how well a unit of a given kind is explained, and how many units of each kind
there are. Here units are compared within bins of what may account for their score, and by a regression on it, which
uses every unit. What may account for a score is measured on the explain half, the score on the score half.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from cratelm.protocols import ENDPOINT, PAPER_METRICS
from cratelm.records.store import read_units
from cratelm.report.measured import Measured
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.results import (
    Difference,
    Results,
    Table,
    decimal,
    mean,
    of_scored,
    paired,
    paired_by,
    pairs,
    score,
    statistic,
    with_interval,
)
from cratelm.reproduce.store import Result, Units, rounded
from cratelm.score.metrics.whole_text import WHOLE_TEXT

EDGES = {"token_share": np.arange(1, 20) / 20, "firing_rate": 10.0 ** np.arange(-4, 0, 0.5)}
"""Between bins: token shares by twentieths, firing rates by half powers of ten."""
FEWEST = 20
"""Units in common bins, below which nothing is compared."""
RAREST = 5e-5
"""The lowest firing rate whose logarithm is taken."""
MEASURED_ON = "explain"
"""The half that a cell's statistics of units are of; a cell that says `score` has them of the half of the scores."""


def unit_numbers(measured: Measured) -> Units:
    """Each unit's layer, its statistics on the explain half, and its scores by `table`."""
    layers = range(len(measured.layers))
    columns: Units = {"layer": [layer for layer in layers for _ in range(measured.layers[layer])]}
    for name in EDGES:
        columns[name] = _plain(np.concatenate([read_units(measured.records, at, MEASURED_ON)[name] for at in layers]))
    for metric in (*PAPER_METRICS, WHOLE_TEXT.name):
        columns[metric] = _plain(np.concatenate([_scores(measured, metric, at) for at in layers]))
    return columns


def _scores(measured: Measured, metric: str, layer: int) -> np.ndarray:
    """A layer's units' scores by `table`, NaN where there is none: (units,)."""
    rows = np.flatnonzero(measured.rows(ENDPOINT.explainer, metric, layer) & (measured.units["status"] == "scored"))
    scores = np.full(measured.layers[layer], np.nan)
    scores[measured.units["unit"][rows]] = measured.units["score"][rows]
    return scores


def matched(first: Units, second: Units, metric: str, by: Sequence[str]) -> tuple[float, float]:
    """The mean difference in score between units in the same bins of `by`, and the share of units that have a match.

    A bin weighs as much as the smaller of the two models' shares of units in it; these weights sum up to the share.
    Units without a score or a statistic are left out. NaN where fewer than 20 units of either are in common bins.
    """
    (bins, scores), (other_bins, other_scores) = (_scored(units, metric, by) for units in (first, second))
    distinct, bin_of = np.unique(np.concatenate([bins, other_bins]), axis=0, return_inverse=True)
    mine, others = np.split(bin_of.ravel(), [len(bins)])
    counts = np.array([np.bincount(bin_index, minlength=len(distinct)) for bin_index in (mine, others)])  # 2 x bins
    common = counts.all(axis=0)
    if counts[:, common].sum(axis=1).min() < FEWEST:
        return float("nan"), float("nan")
    means, other_means = (
        np.bincount(bin_index, unit_scores, len(distinct))[common] / count[common]
        for bin_index, unit_scores, count in zip((mine, others), (scores, other_scores), counts, strict=True)
    )
    weights = (counts / counts.sum(axis=1, keepdims=True))[:, common].min(axis=0)
    return float(np.average(means - other_means, weights=weights)), float(weights.sum())


def adjusted(first: Units, second: Units, metric: str, by: Sequence[str]) -> float:
    """The difference in score between the models where `by` is equal, by least squares over all units with a score.

    The score is a number of the layer, one of the model, and one for each of `by`: firing rates by their logarithm.
    NaN where fewer than 20 units of either have a score.
    """
    numbers = [_known(units, metric, by) for units in (first, second)]
    if min(len(known_units) for known_units in numbers) < FEWEST:
        return float("nan")
    layer, *known, score = np.concatenate(numbers).T
    model = np.repeat([1.0, 0.0], [len(known_units) for known_units in numbers])
    known = [
        np.log10(np.maximum(values, RAREST)) if name == "firing_rate" else values
        for name, values in zip(by, known, strict=True)
    ]
    # A column a layer, and no constant beside them: it would be their sum.
    layers = (layer[:, None] == np.unique(layer)).astype(float)
    fitted = np.linalg.lstsq(np.column_stack([model, *known, layers]), score, rcond=None)[0]
    return float(fitted[0])


def with_units(cells: Sequence[Result]) -> list[Result]:
    """The results that hold their units' numbers."""
    return [cell for cell in cells if "units" in cell]


def of_layer(cells: Sequence[Result], layer: int | str) -> list[Result]:
    """The results that hold their units' numbers, with those of one layer, or of "all"."""
    of_one_layer = []
    for cell in with_units(cells):
        rows = [row for row, at in enumerate(cell["units"]["layer"]) if layer in (at, "all")]
        units = {name: [column[row] for row in rows] for name, column in cell["units"].items()}
        of_one_layer.append(cell | {"units": units})
    return of_one_layer


def paired_matched(
    first: Sequence[Result], second: Sequence[Result], metric: str, by: Sequence[str]
) -> tuple[Difference, float]:
    """The difference within bins, and the mean share, over the seeds of which both models' units are known."""
    first, second = comparable(first, second)

    def over_seeds(place: int) -> Difference:
        return paired_by(first, second, lambda a, b: matched(a["units"], b["units"], metric, by)[place])

    return over_seeds(0), over_seeds(1).mean


def paired_adjusted(first: Sequence[Result], second: Sequence[Result], metric: str, by: Sequence[str]) -> Difference:
    """The difference by regression, over the same seeds."""
    return paired_by(*comparable(first, second), lambda a, b: adjusted(a["units"], b["units"], metric, by))


def comparable(first: Sequence[Result], second: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """The results of both that hold units' statistics of the same half, seed by seed; of the explain half if any do."""
    by_seed = [{cell["cell"]["seed"]: cell for cell in with_units(cells)} for cells in (first, second)]
    seeds = [seed for seed, cell in by_seed[0].items() if seed in by_seed[1] and _way(cell) == _way(by_seed[1][seed])]
    newest = [seed for seed in seeds if _way(by_seed[0][seed]) == MEASURED_ON] or seeds
    return [by_seed[0][seed] for seed in newest], [by_seed[1][seed] for seed in newest]


def _way(cell: Result) -> str:
    return cell.get("unit_statistics", MEASURED_ON)


def _scored(units: Units, metric: str, by: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The bins of units that have everything, units x names, and their scores."""
    _, *known, scores = _known(units, metric, by).T
    # A value that lies on an edge is in the bin above it.
    bins = [np.searchsorted(EDGES[name], values, "right") for name, values in zip(by, known, strict=True)]
    return np.stack(bins, axis=1), scores


def _known(units: Units, metric: str, by: Sequence[str]) -> np.ndarray:
    """Layer, each of `by` and score of the units that have them all: (units, names)."""
    layer = units.get("layer", [0] * len(units[metric]))
    numbers = np.array([layer, *(units[name] for name in by), units[metric]], dtype=float)
    return numbers[:, ~np.isnan(numbers).any(axis=0)].T


def _plain(values: np.ndarray) -> list[float | None]:
    return [rounded(float(value)) for value in values]


BOTH = ("token_share", "firing_rate")
BY = {"firing rate": ("firing_rate",), "token share": ("token_share",), "both": BOTH}
"""In what units are compared with units that are alike."""
HEAD = ["all units scored", *(text for name in BY for text in (f"at equal {name}", "matched", "by regression"))]


def by_metric(results: Results) -> Table:
    """CRATE minus GPT-2 by each metric: all units that could be scored, and within bins of what may explain it."""
    rows = [
        [corpus, str(layers), metric, *_less(*cells, metric)]
        for corpus, layers, cells in pairs(results)
        for metric in PAPER_METRICS
    ]
    return ["corpus", "L", "metric", *HEAD], [row for row in rows if _any(row)]


def by_model(results: Results) -> Table:
    """The same of every model minus GPT-2, in random-only."""
    rows = []
    for corpus, layers, model in product(results.values("corpus"), results.sizes, results.values("model")):
        at = {"corpus": corpus, "layers": layers, "tokenizer": results.tokenizer}
        pair = results.of(model=model, **at), results.of(model="gpt2", **at)
        if model != "gpt2":
            rows.append([corpus, str(layers), model, *_less(*pair, ENDPOINT.metric)])
    return ["corpus", "L", "model", *HEAD], [row for row in rows if _any(row)]


def by_layer(results: Results) -> Table:
    """CRATE's layers minus GPT-2's, at equal token share, in random-only: in which layers the lead lies."""
    rows = []
    deepest = max((layers for _, layers, _ in pairs(results)), default=1)
    for corpus, layers, (crate, gpt2) in pairs(results):
        for layer in (*range(layers), "all") if layers > 1 else ():
            numbers = (score(*ENDPOINT, layer), *(statistic(name, layer) for name in BOTH))
            shown = [decimal(mean(gpt2, number)) for number in numbers]
            theirs = of_layer(gpt2, layer)
            matches = [
                paired_matched(of_layer(crate, at), theirs, ENDPOINT.metric, BOTH[:1]) for at in (*range(layers), "all")
            ]
            less = [with_interval(difference) for difference, _ in matches]
            less[-1:-1] = ["–"] * (deepest - layers)
            rows.append([corpus, str(layers), str(layer), *shown, *less, decimal(matches[-1][1], 2)])
    heads = [ENDPOINT.metric, "token share", "firing rate", *(f"CRATE's layer {at}" for at in range(deepest))]
    return ["corpus", "L", "GPT-2's layer", *heads, "all of CRATE's", "matched"], [row for row in rows if _any(row[2:])]


def _less(first: Sequence[Result], second: Sequence[Result], metric: str) -> list[str]:
    """A difference and, of each kind, one within bins, the share of units that it is of, and one by regression."""
    first, second = comparable(first, second)
    shown = []
    for by in BY.values():
        difference, share = paired_matched(first, second, metric, by)
        shown += [with_interval(difference), decimal(share, 2)]
        shown += [with_interval(paired_adjusted(first, second, metric, by))]
    return [with_interval(paired(first, second, of_scored(ENDPOINT.explainer, metric))), *shown]


def _any(row: Sequence[str]) -> bool:
    """Whether units were matched at all."""
    return any(text != "–" for text in row[4:])


BY_METRIC = Comparison(
    name="alike",
    order=60,
    title="CRATE minus GPT-2, between units that are alike",
    table=by_metric,
    text="""By `table`, of units that could be scored. A model may lead because its units are explained better, or
because more of them are of a kind that is easily explained. *At equal token share*: units are compared within bins of
token share (twentieths) or of firing rate (half powers of ten), and a bin weighs as much as the smaller of the two
models' shares of units in it. *Matched* is the share of units so compared: what lies outside has no counterpart. *By
regression*: the difference at equal token share, firing rate or both by least squares over all units, with a number
for each layer. The score is measured on the score half; share and rate are measured on the explain half, in some cells
on the score half. Only cells measured on the same half are compared; if a size has cells measured on the explain half,
only those count.""",
)
BY_LAYER = Comparison(
    name="alike-layers",
    order=70,
    title="CRATE minus GPT-2, between alike units of each layer",
    table=by_layer,
    text="Random-only at equal token share, as above; the first three numbers are those of GPT-2's layer.",
)
BY_MODEL = Comparison(
    name="alike-models",
    order=80,
    title="Each model minus GPT-2, between units that are alike",
    table=by_model,
    text="Random-only. Cells that kept no units are left out, of the first column too.",
)
