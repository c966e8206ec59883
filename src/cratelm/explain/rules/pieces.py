"""The text that rules are fitted to, in pieces of one length."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cratelm.explain.rules.text_view import TextView
from cratelm.records.excerpts import Excerpts
from cratelm.records.text_sample import TextSample


@dataclass(frozen=True)
class Pieces:
    """Pieces of text."""

    tokens: np.ndarray
    """(rows, T) int64."""
    place: np.ndarray
    """(rows,) int64: the place of the first token in its context."""
    document: np.ndarray
    """(rows,) int64."""
    known: np.ndarray
    """(rows, T) bool: false at padding."""

    def where(self, kept: np.ndarray) -> "Pieces":
        """The rows that a mask or an index keeps."""
        return Pieces(*(getattr(self, field.name)[kept] for field in fields(self)))

    def view(self, texts: Sequence[str]) -> TextView:
        """The pieces as conditions see them."""
        return TextView(self.tokens, self.place, texts)


def of_excerpts(excerpts: Excerpts) -> Pieces:
    """Excerpts as they are."""
    return Pieces(excerpts.tokens, excerpts.place, excerpts.document, np.ones(excerpts.tokens.shape, bool))


def joined(first: Pieces, second: Pieces) -> Pieces:
    """Pieces of two texts of one length; documents of the same number are the same document."""
    names = [field.name for field in fields(Pieces)]
    return Pieces(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


def of_sample(sample: TextSample, length: int) -> tuple[Pieces, np.ndarray]:
    """A text sample cut into pieces of so many tokens, and the activations there: (units, rows, length)."""
    begins = np.arange(0, max(sample.tokens.shape[1], 1), length)
    width = len(begins) * length - sample.tokens.shape[1]
    tokens = np.pad(sample.tokens, [(0, 0), (0, width)]).reshape(-1, length)
    activations = np.pad(sample.activations, [(0, 0), (0, 0), (0, width)]).reshape(len(sample.units), -1, length)
    left = (sample.length[:, None] - begins).reshape(-1)
    place = (sample.place[:, None] + begins).reshape(-1)
    pieces = Pieces(tokens, place, np.repeat(sample.document, len(begins)), np.arange(length) < left[:, None])
    kept = left > 0
    return pieces.where(kept), activations[:, kept]
