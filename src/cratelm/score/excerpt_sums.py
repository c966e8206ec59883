"""Scores of units from sums over their excerpts, so that drawing excerpts or documents again is cheap.

Everything that a metric needs of an excerpt is a handful of sums; an interval weights those sums.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cratelm.score.positions import Positions
from cratelm.stats import average_ranks, correlation

CHANCE = 0.5
"""The AUROC of a simulation that says nothing."""


@dataclass(frozen=True)
class ExcerptSums:
    """Sums over each scored excerpt of each unit; a unit's missing excerpts have sums of 0."""

    document: np.ndarray
    """(units, excerpts) int64: the document of each excerpt, 0 where it is missing."""
    sums: np.ndarray
    """(units, excerpts, sums) float64."""
    reduce: Callable[[np.ndarray], np.ndarray]
    """Scores (..., units) from the units' sums (..., units, sums); NaN where there is nothing to score."""

    def scores(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Scores for replicates that weight excerpts: weights (replicates, units | 1, excerpts) to (replicates,
        units); without weights, (units,).

        NaN where a replicate drew none of a unit's excerpts.
        """
        if weights is None:
            return self.reduce(self.sums.sum(1))
        by_unit = weights.transpose(1, 0, 2) @ self.sums  # (units, replicates, sums)
        return self.reduce(by_unit.transpose(1, 0, 2))


@dataclass(frozen=True)
class Series:
    """Truth and simulation at every scored position of the units of a layer, excerpt by excerpt."""

    positions: Positions
    simulated: np.ndarray
    """(positions,) float64."""
    failed: np.ndarray | None = None
    """(units,): excerpts that are left out because their simulation failed; `None`: none failed."""

    @property
    def truth(self) -> np.ndarray:
        """(positions,) float64."""
        return self.positions.truth

    def pearson(self) -> ExcerptSums:
        """Pearson's r over the concatenation of a unit's excerpts; 0 where truth or simulation does not vary."""
        positions = self.positions
        # Shifting a unit's series changes no correlation, and keeps the sums of a constant one at exactly 0.
        x, y = positions.centred_truth, positions.centred(self.simulated)
        count, sum_x, square_x = np.moveaxis(positions.truth_sums, -1, 0)
        sum_y, square_y, product = np.moveaxis(positions.by_excerpt(y, y * y, x * y), -1, 0)
        sums = np.stack([count, sum_x, sum_y, square_x, square_y, product], axis=-1)
        return ExcerptSums(positions.document, sums, correlation)

    def ranked(self) -> "Series":
        """The same with ranks within each unit in place of values, so that `pearson` gives Spearman's rho.

        Ranks are those of the whole series: a replicate weights them, and does not rank again.
        """
        return replace(self, positions=self.positions.ranked, simulated=self.positions.ranks(self.simulated))

    def auroc(self) -> ExcerptSums:
        """The chance that a unit's simulation is higher where it fires than where it does not, ties counting half.

        A replicate adds what its firing and its silent positions change on their own (the first-order part of
        drawing both again; DeLong et al. 1988). CHANCE where one of the two is missing.
        """
        fires, positions = self.truth > 0, self.positions
        within = positions.ranks(self.simulated)
        own = average_ranks(2 * positions.unit + fires, self.simulated)  # among the unit's positions of the same kind
        firing, silent = (positions.of_unit(kind * 1.0)[positions.unit] for kind in (fires, ~fires))
        with np.errstate(invalid="ignore", divide="ignore"):
            # Of the values lower than this one, those that are not of its own kind are of the other.
            below = (within - own) / np.where(fires, silent, firing)  # share of the other kind that is lower
        above = np.where(fires, below, 1 - below)
        usable = np.nan_to_num(above)
        values = fires * 1.0, np.where(fires, usable, 0), ~fires * 1.0, np.where(fires, 0, usable)
        sums = positions.by_excerpt(*values)
        area = sums[..., 1].sum(1) / np.maximum(sums[..., 0].sum(1), 1)

        def reduce(sums: np.ndarray) -> np.ndarray:
            both = (sums[..., 0] > 0) & (sums[..., 2] > 0)
            with np.errstate(invalid="ignore", divide="ignore"):
                # Each of the two means is the area by itself: their sum counts it twice.
                replicate_area = sums[..., 1] / sums[..., 0] + sums[..., 3] / sums[..., 2] - area
            return np.where(sums[..., 0] + sums[..., 2] > 0, np.where(both, replicate_area, CHANCE), np.nan)

        return ExcerptSums(positions.document, sums, reduce)

    def share(self, part: np.ndarray, whole: np.ndarray) -> ExcerptSums:
        """The sum of `part` over the sum of `whole`, both (positions,); 0 where that is 0."""
        sums = self.positions.by_excerpt(part, whole, np.ones_like(whole))
        return ExcerptSums(self.positions.document, sums, ratio)

    def rsquared(self) -> np.ndarray:
        """OpenAI's R2, which is not centred: 1 - mean (simulated - truth)^2 / mean truth^2. (units,)"""
        return self._explained(lambda series: series**2)

    def absolute_deviation_explained(self) -> np.ndarray:
        """OpenAI's 1 - mean |simulated - truth| / mean |truth|. (units,)"""
        return self._explained(np.abs)

    def _explained(self, size: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            unexplained, whole = (self.positions.of_unit(size(x)) for x in (self.simulated - self.truth, self.truth))
            return 1 - unexplained / whole


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first of sums (..., 3) over the second, 0 where that is 0; NaN where the third, a count, is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], 0.0)
    return np.where(sums[..., 2] > 0, shares, np.nan)
