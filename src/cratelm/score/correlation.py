"""Pearson's correlation of simulated and true activations, from sums an excerpt, so that a bootstrap is cheap.

A unit is scored on the concatenation of its excerpts. Everything that the correlation needs of an excerpt are six
sums; an interval draws excerpts again by weighting those sums.
"""

from dataclasses import dataclass

import numpy as np

STATUS = ("scored", "dead", "silent", "constant")
"""`dead`: the unit never fires in the score half; `silent`: not in its scored excerpts; `constant`: the simulation
does not vary on them. The last three score 0 under the strict protocol, and are counted."""

BLOCK = 100
"""Replicates computed at once, so that memory stays small."""
NEGLIGIBLE = 1e-12
"""A variance below this share of the unit's own mean square is rounding, and counts as none."""


@dataclass(frozen=True)
class ExcerptSums:
    """Sums over each scored excerpt of each unit; a unit's missing excerpts have sums of 0."""

    document: np.ndarray
    """(units, excerpts) int64: the document of each excerpt, 0 where it is missing."""
    sums: np.ndarray
    """(units, excerpts, 6) float64: tokens, x, y, x^2, y^2 and x y, for truth x and simulation y."""

    def scores(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Correlations for replicates that weight excerpts: weights (replicates, units | 1, excerpts) to
        (replicates, units); without weights, (units,).

        0 where truth or simulation does not vary; NaN where a replicate drew none of a unit's excerpts.
        """
        if weights is None:
            return _correlation(self.sums.sum(1))
        by_unit = weights.transpose(1, 0, 2)  # (units | 1, replicates, excerpts)
        return _correlation(by_unit @ self.sums).T

    def layer_means(self, drawn: np.ndarray, unit_weights: np.ndarray) -> np.ndarray:
        """The mean score of all units in each replicate, (replicates,): a bootstrap of documents and units together.

        `drawn` (replicates, documents) says how often each document is drawn, and its excerpts with it;
        `unit_weights` (replicates, units) how often each unit is. A unit that lost all its excerpts has no part.
        """
        means = []
        for start in range(0, len(drawn), BLOCK):
            block = slice(start, start + BLOCK)
            scores = self.scores(drawn[block][:, self.document])  # (block, units)
            weights = np.where(np.isnan(scores), 0, unit_weights[block])
            means.append((np.nan_to_num(scores) * weights).sum(1) / weights.sum(1))
        return np.concatenate(means)


def excerpt_sums(
    unit_row: np.ndarray, slot: np.ndarray, document: np.ndarray, truth: np.ndarray, simulated: np.ndarray, shape: tuple
) -> ExcerptSums:
    """Sums of excerpts (rows, tokens) put at (unit_row, slot) of an array of `shape` (units, excerpts).

    Truth and simulation are first shifted by each unit's means, which changes no correlation and keeps the sums
    of a constant series at exactly 0.
    """
    tokens = truth.shape[1]
    rows = np.bincount(unit_row, minlength=shape[0])
    centred = []
    for series in (truth.astype(np.float64), simulated.astype(np.float64)):
        mean = np.bincount(unit_row, series.mean(1), minlength=shape[0]) / np.maximum(rows, 1)
        centred.append(series - mean[unit_row, None])
    x, y = centred
    sums = np.zeros((*shape, 6))
    sums[unit_row, slot] = np.stack(
        [np.full(len(x), tokens), x.sum(1), y.sum(1), (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)], axis=1
    )
    documents = np.zeros(shape, dtype=np.int64)
    documents[unit_row, slot] = document
    return ExcerptSums(documents, sums)


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's r from (..., 6) sums."""
    count = sums[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y, square_x, square_y, product = (sums[..., k] / count for k in range(1, 6))
        variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
        varies = (variance_x > NEGLIGIBLE * square_x) & (variance_y > NEGLIGIBLE * square_y)
        r = np.where(varies, (product - mean_x * mean_y) / np.sqrt(np.where(varies, variance_x * variance_y, 1)), 0.0)
    return np.where(count > 0, np.clip(r, -1, 1), np.nan)
