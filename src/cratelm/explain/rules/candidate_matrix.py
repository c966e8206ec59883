"""All conditions that a fit may choose from on some texts, as one sparse matrix: what all units share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cratelm.explain.rules.condition import Condition
from cratelm.explain.rules.kinds import KINDS, kind_of
from cratelm.explain.rules.text_view import TextView

PARTS = 5
"""Parts that documents are dealt into, so that a condition is judged on documents that its mean was not taken from."""


@dataclass(frozen=True, eq=False)
class CandidateMatrix:
    """Conditions (conditions,) on the positions (positions,) of some texts, in the order of their part."""

    conditions: list[Condition]
    parts: list[Any]
    """Of each part, where the conditions hold: scipy CSR (conditions, positions of the part) float32."""
    order: np.ndarray
    """(positions,): which of the texts' tokens, row after row, each position is."""

    @classmethod
    def of(cls, view: TextView, document: np.ndarray, known: np.ndarray) -> "CandidateMatrix":
        """The candidates of texts (rows, T) of documents (rows,), of whose tokens some are padding, not `known`."""
        from scipy.sparse import csc_matrix, csr_matrix

        found = [kind.candidates(view) for kind in KINDS.values()]
        begins = np.cumsum([0, *(len(some.conditions) for some in found)])
        condition = np.concatenate([some.condition + begin for some, begin in zip(found, begins[:-1], strict=True)])
        position = np.concatenate([some.position for some in found])
        shape = begins[-1], view.tokens.size
        whole = csc_matrix((np.ones(len(position), np.float32), (condition, position)), shape)
        part, order = _dealt(view, document, known)
        matrices = [csr_matrix(whole[:, order[part == number]]) for number in range(part.max(initial=0) + 1)]
        return cls([condition for some in found for condition in some.conditions], matrices, order)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Where the positions of each part begin, and where the last ends: (parts + 1,)."""
        return np.cumsum([0, *(matrix.shape[1] for matrix in self.parts)])

    @cached_property
    def exclusive(self) -> list[np.ndarray]:
        """Groups of conditions that exclude each other, so that several of them can be one: places in `conditions`."""
        groups: dict[tuple[str, int], list[int]] = {}
        for place, condition in enumerate(self.conditions):
            if kind_of(condition).exclusive:
                groups.setdefault((condition.kind, condition.back), []).append(place)
        return [np.array(group) for group in groups.values()]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (positions, columns) over where conditions hold, by part: (columns, parts, conditions)."""
        sums = np.empty((values.shape[1], len(self.parts), len(self.conditions)))
        for part, (matrix, begin) in enumerate(zip(self.parts, self.bounds[:-1], strict=True)):
            sums[:, part] = (matrix @ values[begin : begin + matrix.shape[1]]).T
        return sums

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (positions, columns) over each part: (parts, columns)."""
        return np.add.reduceat(values, self.bounds[:-1], axis=0, dtype=np.float64)

    def tokens(self, asked: Sequence[Sequence[int]]) -> int:
        """How many tokens some conditions name."""
        return sum(len(self.conditions[place].tokens) for members in asked for place in members)

    def where(self, members: Sequence[int]) -> np.ndarray:
        """Where one of some conditions holds: (positions,) bool."""
        holds = np.zeros(len(self.order), bool)
        for matrix, begin in zip(self.parts, self.bounds[:-1], strict=True):
            for place in members:
                holds[begin + matrix.indices[matrix.indptr[place] : matrix.indptr[place + 1]]] = True
        return holds


def _dealt(view: TextView, document: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of each known position, ascending, and its place among the texts' tokens: (positions,) each."""
    _, number = np.unique(document, return_inverse=True)
    row_part = number % min(PARTS, number.max(initial=0) + 1)
    part = np.repeat(row_part, view.tokens.shape[1])
    kept = np.flatnonzero(known.ravel())
    order = kept[np.argsort(part[kept], kind="stable")]
    return part[order], order
