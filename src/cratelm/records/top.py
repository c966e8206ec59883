"""Each unit's excerpts with the highest maximum, kept exactly while the text streams by."""

import numpy as np


class TopExcerpts:
    """The `count` best excerpts of each unit, at most one a document, ties to the earlier place.

    Only excerpts in which a unit fires count. What is kept depends on what was seen, not on its order: keeping the
    best of two kept lists is keeping the best of all.
    """

    def __init__(self, units: int, count: int, document_of: np.ndarray):
        self.count, self.document_of, self.documents = count, document_of, int(document_of.max()) + 1
        self.unit = np.empty(0, np.int64)
        self.value = np.empty(0, np.float32)
        self.excerpt = np.empty(0, np.int64)
        self.threshold = np.zeros(units, np.float32)

    def update(self, maxima: np.ndarray, excerpts: np.ndarray) -> None:
        """See a batch: `maxima` (excerpts, units) of the excerpts numbered `excerpts` (excerpts,)."""
        row, unit = np.nonzero((maxima > 0) & (maxima >= self.threshold))
        self._keep_best(
            np.r_[self.unit, unit], np.r_[self.value, maxima[row, unit]], np.r_[self.excerpt, excerpts[row]]
        )

    def _keep_best(self, unit: np.ndarray, value: np.ndarray, excerpt: np.ndarray) -> None:
        order = np.lexsort((excerpt, -value, unit))
        unit, value, excerpt = unit[order], value[order], excerpt[order]
        # The first row of a document within a unit is its best; later ones go.
        document = self.document_of[excerpt]
        _, first = np.unique(unit * self.documents + document, return_index=True)
        first.sort()
        unit, value, excerpt = unit[first], value[first], excerpt[first]
        rank = np.arange(len(unit)) - np.searchsorted(unit, unit)
        kept = rank < self.count
        self.unit, self.value, self.excerpt = unit[kept], value[kept], excerpt[kept]
        last = rank[kept] == self.count - 1
        self.threshold[self.unit[last]] = self.value[last]

    @property
    def rank(self) -> np.ndarray:
        """The rank of each kept row within its unit, 0 being the highest."""
        return np.arange(len(self.unit)) - np.searchsorted(self.unit, self.unit)
