"""Where the units of a layer are scored, and what they do there: the same whatever is expected of them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cratelm.stats import average_ranks


@dataclass(frozen=True)
class Positions:
    """Every scored position of the units of a layer, unit by unit and excerpt by excerpt."""

    unit: np.ndarray
    """(positions,) int64: the unit's row, ascending."""
    slot: np.ndarray
    """(positions,) int64: which of the unit's excerpts, ascending within the unit."""
    truth: np.ndarray
    """(positions,) float64: the activations."""
    document: np.ndarray
    """(units, excerpts) int64: the document of each excerpt, 0 where it is missing."""

    def where(self, kept: np.ndarray) -> "Positions":
        """Those that a mask (positions,) keeps; their excerpts keep their slots."""
        return Positions(self.unit[kept], self.slot[kept], self.truth[kept], self.document)

    def by_excerpt(self, *values: np.ndarray) -> np.ndarray:
        """Sums of values (positions,) over each excerpt: (units, excerpts, values)."""
        cells, begins = self.excerpts
        sums = np.zeros((self.document.size, len(values)))
        for place, value in enumerate(values):
            sums[cells, place] = np.add.reduceat(value, begins, dtype=np.float64) if len(begins) else 0
        return sums.reshape(*self.document.shape, len(values))

    def of_unit(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (positions,) over each unit: (units,)."""
        return self.by_excerpt(values).sum((1, 2))

    def varies(self, values: np.ndarray) -> np.ndarray:
        """Whether values (positions,) are not all the same within each unit: (units,)."""
        begins = np.flatnonzero(np.diff(self.unit, prepend=-1))
        varies = np.zeros(len(self.document), bool)
        if len(begins):
            varies[self.unit[begins]] = np.minimum.reduceat(values, begins) < np.maximum.reduceat(values, begins)
        return varies

    def centred(self, values: np.ndarray) -> np.ndarray:
        """Values (positions,) less their unit's mean."""
        return values - (self.of_unit(values) / np.maximum(self._count, 1))[self.unit]

    def ranks(self, values: np.ndarray) -> np.ndarray:
        """The rank of each of values (positions,) within its unit."""
        return average_ranks(self.unit, values)

    @cached_property
    def excerpts(self) -> tuple[np.ndarray, np.ndarray]:
        """The excerpts that hold positions, as places in flattened `document`, and where each one's positions begin."""
        cell = self.unit * self.document.shape[1] + self.slot
        begins = np.flatnonzero(np.diff(cell, prepend=-1))
        return cell[begins], begins

    @cached_property
    def _count(self) -> np.ndarray:
        return self.of_unit(np.ones(len(self.unit)))

    @cached_property
    def centred_truth(self) -> np.ndarray:
        """The activations less their unit's mean: (positions,)."""
        return self.centred(self.truth)

    @cached_property
    def truth_sums(self) -> np.ndarray:
        """Of each excerpt the number of positions, and the sums of its centred activations and of their squares."""
        x = self.centred_truth
        return self.by_excerpt(np.ones_like(x), x, x * x)

    @cached_property
    def ranked(self) -> "Positions":
        """The same with the activations' ranks within their unit."""
        return replace(self, truth=self.ranks(self.truth))
