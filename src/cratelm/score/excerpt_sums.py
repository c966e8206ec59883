"""Scores of units from sums over their excerpts, so that drawing excerpts or documents again is cheap.

Everything that a metric needs of an excerpt is a handful of sums; an interval weights those sums.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

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

    unit: np.ndarray
    """(positions,) int64: the unit's row, ascending."""
    slot: np.ndarray
    """(positions,) int64: which of the unit's excerpts, ascending within the unit."""
    truth: np.ndarray
    """(positions,) float64."""
    simulated: np.ndarray
    """(positions,) float64."""
    document: np.ndarray
    """(units, excerpts) int64: the document of each excerpt, 0 where it is missing."""
    failed: np.ndarray | None = None
    """(units,): excerpts that are left out because their simulation failed; None stands for nowhere."""

    def by_excerpt(self, *values: np.ndarray) -> np.ndarray:
        """Sums of values (positions,) over each excerpt: (units, excerpts, values)."""
        cells, begins = self._excerpts
        sums = np.zeros((self.document.size, len(values)))
        for place, value in enumerate(values):
            sums[cells, place] = np.add.reduceat(value, begins, dtype=np.float64) if len(begins) else 0
        return sums.reshape(*self.document.shape, len(values))

    @cached_property
    def _excerpts(self) -> tuple[np.ndarray, np.ndarray]:
        """The excerpts that hold positions, by unit and slot in one number, and where the positions of each begin."""
        cell = self.unit * self.document.shape[1] + self.slot
        begins = np.flatnonzero(np.diff(cell, prepend=-1))
        return cell[begins], begins

    def of_unit(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (positions,) over each unit: (units,)."""
        return self.by_excerpt(values).sum((1, 2))

    def pearson(self) -> ExcerptSums:
        """Pearson's r over the concatenation of a unit's excerpts; 0 where truth or simulation does not vary."""
        # Shifting a unit's series changes no correlation, and keeps the sums of a constant one at exactly 0.
        x, y = (series - self._means(series)[self.unit] for series in (self.truth, self.simulated))
        sums = self.by_excerpt(np.ones_like(x), x, y, x * x, y * y, x * y)
        return ExcerptSums(self.document, sums, correlation)

    def _means(self, series: np.ndarray) -> np.ndarray:
        return self.of_unit(series) / np.maximum(self.of_unit(np.ones_like(series)), 1)

    def ranked(self) -> "Series":
        """The same with ranks within each unit in place of values, so that `pearson` gives Spearman's rho.

        Ranks are those of the whole series: a replicate weights them, and does not rank again.
        """
        truth, simulated = (average_ranks(self.unit, series) for series in (self.truth, self.simulated))
        return replace(self, truth=truth, simulated=simulated)

    def auroc(self) -> ExcerptSums:
        """The chance that a unit's simulation is higher where it fires than where it does not, ties counting half.

        A replicate adds what its firing and its silent positions change on their own (the first-order part of
        drawing both again; DeLong et al. 1988). CHANCE where one of the two is missing.
        """
        fires = self.truth > 0
        within = average_ranks(self.unit, self.simulated)
        own = average_ranks(2 * self.unit + fires, self.simulated)  # among the unit's positions of the same kind
        firing, silent = self.of_unit(fires * 1.0)[self.unit], self.of_unit(~fires * 1.0)[self.unit]
        with np.errstate(invalid="ignore", divide="ignore"):
            # Of the values lower than this one, those that are not of its own kind are of the other.
            below = (within - own) / np.where(fires, silent, firing)  # share of the other kind that is lower
        above = np.where(fires, below, 1 - below)
        usable = np.nan_to_num(above)
        area = self.of_unit(np.where(fires, usable, 0)) / np.maximum(self.of_unit(fires * 1.0), 1)
        sums = self.by_excerpt(fires * 1.0, np.where(fires, usable, 0), ~fires * 1.0, np.where(fires, 0, usable))

        def reduce(sums: np.ndarray) -> np.ndarray:
            both = (sums[..., 0] > 0) & (sums[..., 2] > 0)
            with np.errstate(invalid="ignore", divide="ignore"):
                # Each of the two means is the area by itself: their sum counts it twice.
                replicate_area = sums[..., 1] / sums[..., 0] + sums[..., 3] / sums[..., 2] - area
            return np.where(sums[..., 0] + sums[..., 2] > 0, np.where(both, replicate_area, CHANCE), np.nan)

        return ExcerptSums(self.document, sums, reduce)

    def share(self, part: np.ndarray, whole: np.ndarray) -> ExcerptSums:
        """The sum of `part` over the sum of `whole`, both (positions,); 0 where that is 0."""
        return ExcerptSums(self.document, self.by_excerpt(part, whole, np.ones_like(whole)), ratio)

    def rsquared(self) -> np.ndarray:
        """OpenAI's R2, which is not centred: 1 - mean (simulated - truth)^2 / mean truth^2. (units,)"""
        return self._explained(lambda series: series**2)

    def absolute_deviation_explained(self) -> np.ndarray:
        """OpenAI's 1 - mean |simulated - truth| / mean |truth|. (units,)"""
        return self._explained(np.abs)

    def _explained(self, size: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - self.of_unit(size(self.simulated - self.truth)) / self.of_unit(size(self.truth))


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first of sums (..., 3) over the second, 0 where that is 0; NaN where the third, a count, is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], 0.0)
    return np.where(sums[..., 2] > 0, shares, np.nan)
