"""Excerpts of units, as they are read from a recording."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Excerpts:
    """Excerpts of some units, all of one length, kind and half."""

    unit: np.ndarray
    """(rows,) int64, ascending."""
    rank: np.ndarray
    """(rows,) int64: 0 is the first of a unit, and of each of its intervals."""
    interval: np.ndarray
    """(rows,) int64: which of the unit's intervals; -1 where the kind has none."""
    document: np.ndarray
    """(rows,) int64: the document on its side."""
    start: np.ndarray
    """(rows,) int64: the place of the first token on its side."""
    place: np.ndarray
    """(rows,) int64: the place of the first token in its context."""
    tokens: np.ndarray
    """(rows, excerpt) int64."""
    activations: np.ndarray
    """(rows, excerpt) float32."""

    def where(self, kept: np.ndarray) -> "Excerpts":
        """The rows that a boolean mask or an index keeps."""
        return Excerpts(*(getattr(self, field.name)[kept] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence["Excerpts"]) -> "Excerpts":
        """Several in a row."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
