"""Token tables: explanations that need no language model and are the same for every reader.

A table says how strongly a unit fires on each token it was shown; for a token that it was not shown it falls back
to what followed the left neighbour; where that was not shown either it says 0, the value of a unit at rest.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Lookup:
    """A sparse table of means with one row a unit: entries sorted by unit and token."""

    vocabulary: int
    unit: np.ndarray
    """(entries,) int64."""
    token: np.ndarray
    """(entries,) int64."""
    mean: np.ndarray
    """(entries,) float64."""

    @classmethod
    def fit(cls, unit: np.ndarray, token: np.ndarray, value: np.ndarray, vocabulary: int) -> Self:
        """The mean value of each pair of unit and token that occurs; all arrays have one shape."""
        keys, place = np.unique((unit * vocabulary + token).ravel(), return_inverse=True)
        mean = np.bincount(place, weights=value.ravel()) / np.bincount(place)
        return cls(vocabulary, keys // vocabulary, keys % vocabulary, mean)

    def __call__(self, unit: np.ndarray, token: np.ndarray) -> np.ndarray:
        """The entries of pairs of unit and token, NaN where there is none."""
        keys = self.unit * self.vocabulary + self.token
        wanted = unit * self.vocabulary + token
        if not len(keys):
            return np.full(wanted.shape, np.nan)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[place] == wanted, self.mean[place], np.nan)


@dataclass(frozen=True)
class TokenTables:
    """The tables of many units of one layer, which explain and simulate all of them at once."""

    own: Lookup
    """The mean activation at a token."""
    after: Lookup
    """The mean activation behind a token."""

    @classmethod
    def explain(cls, unit: np.ndarray, tokens: np.ndarray, activations: np.ndarray, vocabulary: int) -> Self:
        """Tables from excerpts: unit (rows,), tokens and activations (rows, excerpt)."""
        units = np.broadcast_to(unit[:, None], tokens.shape)
        return cls(
            Lookup.fit(units, tokens, activations, vocabulary),
            Lookup.fit(units[:, 1:], tokens[:, :-1], activations[:, 1:], vocabulary),
        )

    def simulate(self, unit: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, excerpt): (rows, excerpt) float64.

        A text's first token has no left neighbour.
        """
        units = np.broadcast_to(unit[:, None], tokens.shape)
        expected = self.own(units, tokens)
        behind = np.full(tokens.shape, np.nan)
        behind[:, 1:] = self.after(units[:, 1:], tokens[:, :-1])
        return np.nan_to_num(np.where(np.isnan(expected), behind, expected), nan=0.0)

    def describe(self, unit: int, texts: list[str], words: int = 8) -> str:
        """One unit's table as a sentence: its strongest tokens, with their share of its strongest mean."""
        mine = (self.own.unit == unit) & (self.own.mean > 0)
        tokens, means = self.own.token[mine], self.own.mean[mine]
        if not len(tokens):
            return "never fires on the text it was shown"
        strongest = np.lexsort((tokens, -means))[:words]
        named = ", ".join(f"{texts[tokens[k]]!r} {means[k] / means.max():.2f}" for k in strongest)
        more = len(tokens) - len(strongest)
        return f"fires on {named}" + (f" and, less, on {more} more tokens" if more > 0 else "")
