"""Context gain: how much an explanation knows of a unit beyond the current token."""

import numpy as np
import pyarrow as pa

from cratelm.artifacts import Artifact
from cratelm.explain.explain import Explanations
from cratelm.records.store import read_excerpts, read_tables

FOLDS = 2
"""Excerpts of even and odd rank: what is fitted on one is tested on the other."""


def context_gains(records: Artifact, layer: int, explanations: Explanations) -> pa.Table:
    """The gain of each unit that the records hold a full token table of: rows of metric `context-gain`."""
    stored = read_tables(records, layer, "explain")
    units = stored["units"]
    random = read_excerpts(records, layer, "score", "random", units.tolist(), 64)
    row = np.searchsorted(units, random.unit)
    table = stored["means"][row[:, None], random.tokens]
    simulated = explanations.simulate(random.unit, random.tokens, random.place)
    gain = cross_fitted_gain(row, random.rank % FOLDS, random.activations, table, simulated, len(units))
    return pa.table(
        {
            "layer": pa.array(np.full(len(units), layer), pa.int16()),
            "unit": pa.array(units, pa.int32()),
            "explainer": ["graph"] * len(units),
            "metric": ["context-gain"] * len(units),
            "score": pa.array(gain, pa.float64(), from_pandas=True),
        }
    )


def cross_fitted_gain(
    row: np.ndarray, fold: np.ndarray, truth: np.ndarray, table: np.ndarray, simulated: np.ndarray, units: int
) -> np.ndarray:
    """R2 of truth on (token table, simulation) less R2 on the token table alone, by unit: (units,).

    `row` and `fold` (rows,) are the unit and the fold of each excerpt, the others (rows, T). Slopes are 0 or more,
    fitted on the one fold and tested on the other. NaN where the truth does not vary in a fold.
    """
    both = [_error(row, fold, truth, [table, simulated], units, tested) for tested in range(FOLDS)]
    alone = [_error(row, fold, truth, [table], units, tested) for tested in range(FOLDS)]
    total = [_moments(row, fold == tested, [truth], units)[:, 0, 0] for tested in range(FOLDS)]
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = (np.sum(alone, axis=0) - np.sum(both, axis=0)) / np.sum(total, axis=0)
    return np.where(np.min(total, axis=0) > 0, gain, np.nan)


def _moments(row: np.ndarray, kept: np.ndarray, series: list[np.ndarray], units: int) -> np.ndarray:
    """Sums of products of centred series over each unit's kept excerpts: (units, series, series)."""
    centred = []
    for values in series:
        values = values[kept].astype(np.float64)
        count = np.bincount(row[kept], minlength=units) * values.shape[1]
        mean = np.bincount(row[kept], values.sum(1), minlength=units) / np.maximum(count, 1)
        centred.append(values - mean[row[kept], None])
    found = np.empty((units, len(series), len(series)))
    for i, one in enumerate(centred):
        for j, other in enumerate(centred):
            found[:, i, j] = np.bincount(row[kept], (one * other).sum(1), minlength=units)
    return found


def _error(
    row: np.ndarray, fold: np.ndarray, truth: np.ndarray, known: list[np.ndarray], units: int, tested: int
) -> np.ndarray:
    """The squared error on the tested fold of the fit to the other one: (units,)."""
    slopes = _slopes(_moments(row, fold != tested, [truth, *known], units))
    weights = np.concatenate([np.ones((units, 1)), -slopes], axis=1)  # of truth less what is expected
    moments = _moments(row, fold == tested, [truth, *known], units)
    offset = _offset(row, fold, [truth, *known], weights, units, tested)
    return np.einsum("ui,uij,uj->u", weights, moments, weights) + offset


def _offset(
    row: np.ndarray, fold: np.ndarray, series: list[np.ndarray], weights: np.ndarray, units: int, tested: int
) -> np.ndarray:
    """What the intercept, fitted on the other fold, adds to the error on the tested one: (units,)."""
    shift = np.zeros(units)
    for column, values in enumerate(series):
        for sign, kept in ((1, fold == tested), (-1, fold != tested)):
            count = np.maximum(np.bincount(row[kept], minlength=units) * values.shape[1], 1)
            shift += sign * weights[:, column] * np.bincount(row[kept], values[kept].sum(1), minlength=units) / count
    tokens = np.bincount(row[fold == tested], minlength=units) * series[0].shape[1]
    return tokens * shift**2


def _slopes(moments: np.ndarray) -> np.ndarray:
    """Least squares with slopes of 0 or more, by unit: of one or two known series, (units, known)."""
    target, known = moments[:, 1:, 0], moments[:, 1:, 1:]
    variance = np.einsum("uii->ui", known)
    with np.errstate(invalid="ignore", divide="ignore"):
        single = np.where(variance > 0, np.maximum(target / variance, 0), 0)
    if known.shape[1] == 1:
        return single
    determinant = variance[:, 0] * variance[:, 1] - known[:, 0, 1] ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        joint = np.stack(
            [
                (target[:, 0] * variance[:, 1] - target[:, 1] * known[:, 0, 1]) / determinant,
                (target[:, 1] * variance[:, 0] - target[:, 0] * known[:, 0, 1]) / determinant,
            ],
            axis=1,
        )
    inside = (determinant > 1e-9 * variance[:, 0] * variance[:, 1]) & (joint >= 0).all(1)
    # Outside, the best point lies on an edge: one of the two alone, whichever explains more.
    first = single[:, 0] * target[:, 0] >= single[:, 1] * target[:, 1]
    edge = np.where(first[:, None], single * [1, 0], single * [0, 1])
    return np.where(inside[:, None], joint, edge)
