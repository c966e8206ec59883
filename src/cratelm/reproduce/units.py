"""Units of two models compared where they depend on their token alike.

A mean over a model mixes two things: how well a unit of a given kind is explained, and how many units of each kind
there are. Here units are compared within bins of what may account for their score, and by a regression on it, which
uses every unit. What may account for a score is measured on the explain half, the score on the score half.
"""

from collections.abc import Sequence

import numpy as np

from cratelm.records.store import read_units
from cratelm.report.measured import Measured
from cratelm.reproduce.gather import Found, paired_by
from cratelm.reproduce.store import Result, Units, rounded
from cratelm.score.metrics.whole_text import WHOLE_TEXT
from cratelm.score.registry import HEADLINE_METRICS

EDGES = {"token_share": np.arange(1, 20) / 20, "firing_rate": 10.0 ** np.arange(-4, 0, 0.5)}
"""Between bins: token shares by twentieths, firing rates by half powers of ten."""
FEWEST = 20
"""Units in common bins, below which nothing is compared."""
RAREST = 5e-5
"""The lowest firing rate whose logarithm is taken: cells of before 2026-11-28 have four decimals."""
MEASURED_ON = "explain"
"""The half that the units' statistics are of. Cells of before 2026-11-28 do not say it: theirs are of the score half,
and their token share, by pairs of places within a batch, is biased by a unit's firing rate."""


def unit_numbers(measured: Measured) -> Units:
    """Each unit's layer, its statistics on the explain half, and its scores by `table`."""
    layers = range(len(measured.layers))
    columns: Units = {"layer": [layer for layer in layers for _ in range(measured.layers[layer])]}
    for name in EDGES:
        columns[name] = _plain(np.concatenate([read_units(measured.records, at, MEASURED_ON)[name] for at in layers]))
    for metric in (*HEADLINE_METRICS, WHOLE_TEXT.name):
        columns[metric] = _plain(np.concatenate([_scores(measured, metric, at) for at in layers]))
    return columns


def _scores(measured: Measured, metric: str, layer: int) -> np.ndarray:
    """A layer's units' scores by `table`, NaN where there is none: (units,)."""
    rows = np.flatnonzero(measured.rows("table", metric, layer) & (measured.units["status"] == "scored"))
    found = np.full(measured.layers[layer], np.nan)
    found[measured.units["unit"][rows]] = measured.units["score"][rows]
    return found


def matched(one: Units, other: Units, metric: str, by: Sequence[str]) -> tuple[float, float]:
    """The mean difference in score between units in the same bins of `by`, and the share of units that have a match.

    A bin weighs as much as the smaller of the two models' shares of units in it; these weights sum up to the share.
    Units without a score or a statistic are left out. NaN where fewer than 20 units of either are in common bins.
    """
    (bins, scores), (other_bins, other_scores) = (_scored(units, metric, by) for units in (one, other))
    distinct, bin_of = np.unique(np.concatenate([bins, other_bins]), axis=0, return_inverse=True)
    mine, others = np.split(bin_of.ravel(), [len(bins)])
    counts = np.array([np.bincount(found, minlength=len(distinct)) for found in (mine, others)])  # 2 x bins
    common = counts.all(axis=0)
    if counts[:, common].sum(axis=1).min() < FEWEST:
        return float("nan"), float("nan")
    means, other_means = (
        np.bincount(found, of, len(distinct))[common] / count[common]
        for found, of, count in zip((mine, others), (scores, other_scores), counts, strict=True)
    )
    weights = (counts / counts.sum(axis=1, keepdims=True))[:, common].min(axis=0)
    return float(np.average(means - other_means, weights=weights)), float(weights.sum())


def adjusted(one: Units, other: Units, metric: str, by: Sequence[str]) -> float:
    """The difference in score between the models where `by` is equal, by least squares over all units with a score.

    The score is a number of the layer, one of the model, and one for each of `by`: firing rates by their logarithm.
    NaN where fewer than 20 units of either have a score.
    """
    numbers = [_known(units, metric, by) for units in (one, other)]
    if min(len(of) for of in numbers) < FEWEST:
        return float("nan")
    layer, *known, score = np.concatenate(numbers).T
    model = np.repeat([1.0, 0.0], [len(of) for of in numbers])
    known = [
        np.log10(np.maximum(values, RAREST)) if name == "firing_rate" else values
        for name, values in zip(by, known, strict=True)
    ]
    layers = (layer[:, None] == np.unique(layer)).astype(float)
    fitted = np.linalg.lstsq(np.column_stack([model, *known, layers]), score, rcond=None)[0]
    return float(fitted[0])


def with_units(cells: Sequence[Result]) -> list[Result]:
    """The results that hold their units' numbers."""
    return [cell for cell in cells if "units" in cell]


def of_layer(cells: Sequence[Result], layer: int | str) -> list[Result]:
    """The results that hold their units' numbers, with those of one layer, or of "all"."""
    found = []
    for cell in with_units(cells):
        rows = [row for row, at in enumerate(cell["units"]["layer"]) if layer in (at, "all")]
        found.append(cell | {"units": {name: [column[row] for row in rows] for name, column in cell["units"].items()}})
    return found


def paired_matched(
    one: Sequence[Result], other: Sequence[Result], metric: str, by: Sequence[str]
) -> tuple[Found, float]:
    """The difference within bins, and the mean share, over the seeds of which both models' units are known."""
    one, other = comparable(one, other)

    def over_seeds(place: int) -> Found:
        return paired_by(one, other, lambda a, b: matched(a["units"], b["units"], metric, by)[place])

    return over_seeds(0), over_seeds(1).mean


def paired_adjusted(one: Sequence[Result], other: Sequence[Result], metric: str, by: Sequence[str]) -> Found:
    """The difference by regression, over the same seeds."""
    return paired_by(*comparable(one, other), lambda a, b: adjusted(a["units"], b["units"], metric, by))


def comparable(one: Sequence[Result], other: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """The results of both that hold units' statistics of the same half, seed by seed; of the explain half if any do."""
    of = [{cell["cell"]["seed"]: cell for cell in with_units(cells)} for cells in (one, other)]
    seeds = [seed for seed, cell in of[0].items() if seed in of[1] and _way(cell) == _way(of[1][seed])]
    newest = [seed for seed in seeds if _way(of[0][seed]) == MEASURED_ON] or seeds
    return [of[0][seed] for seed in newest], [of[1][seed] for seed in newest]


def _way(cell: Result) -> str:
    return cell.get("unit_statistics", "score")


def _scored(units: Units, metric: str, by: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The bins of units that have everything, units x names, and their scores."""
    _, *known, scores = _known(units, metric, by).T
    bins = [np.searchsorted(EDGES[name], values, "right") for name, values in zip(by, known, strict=True)]
    return np.stack(bins, axis=1), scores


def _known(units: Units, metric: str, by: Sequence[str]) -> np.ndarray:
    """Layer, each of `by` and score of the units that have them all: (units, names)."""
    layer = units.get("layer", [0] * len(units[metric]))
    numbers = np.array([layer, *(units[name] for name in by), units[metric]], dtype=float)
    return numbers[:, ~np.isnan(numbers).any(axis=0)].T


def _plain(values: np.ndarray) -> list[float | None]:
    return [rounded(float(value)) for value in values]
