"""Means of a sample of units on n-grams: what is kept of a recording, read and smoothed; this takes no PyTorch.

An n-gram is named by its row: first all tokens that occur, then pairs, then triples. What follows its first token is
its *parent*: the n-gram that is left where less is known of the text before. A mean is drawn towards what is expected
of the parent, by k imaginary places of the parent's: with n places of its own it counts n / (n + k).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from cratelm.artifacts import Artifact
from cratelm.errors import InputError
from cratelm.stats import places_among

ORDERS = 3
"""The longest n-gram, in tokens."""


@dataclass(frozen=True)
class Ngrams:
    """Some n-grams, with the parent of each among them."""

    vocabulary: int
    ends: np.ndarray
    """(ORDERS,) int64: the row after the last of each order."""
    parent: np.ndarray
    """(rows,) int64: the row of the n-gram without its first token; -1 for a single token."""
    token: np.ndarray
    """(rows,) int64: its first token. Rows of one order ascend by parent, then by token."""

    def of_order(self, order: int) -> slice:
        """The rows of n-grams of `order` tokens."""
        return slice(int(self.ends[order - 2]) if order > 1 else 0, int(self.ends[order - 1]))

    def longest(self, tokens: np.ndarray, order: int = ORDERS) -> np.ndarray:
        """The longest n-gram of at most `order` tokens that ends at each place of texts (texts, T): its row, or -1.

        What comes before a text is not known: its first token is a single one.
        """
        found = places_among(self._keys(1), tokens)
        longest = found
        for length in range(2, order + 1):
            before = _before(tokens, length - 1)
            known = (found >= 0) & (before >= 0)
            keys = np.where(known, found * self.vocabulary + before, -1)
            place = places_among(self._keys(length), keys)
            found = np.where(place >= 0, place + self.of_order(length).start, -1)
            longest = np.maximum(longest, found)  # longer ones have higher rows
        return longest

    def _keys(self, order: int) -> np.ndarray:
        rows = self.of_order(order)
        return self.token[rows] if order == 1 else self.parent[rows] * self.vocabulary + self.token[rows]

    def tensors(self) -> dict[str, np.ndarray]:
        """All of it, by name."""
        return {"ends": self.ends, "parent": self.parent.astype(np.int32), "token": self.token.astype(np.int32)}

    @classmethod
    def of_tensors(cls, stored: Mapping[str, np.ndarray], vocabulary: int) -> "Ngrams":
        """What `tensors` gave."""
        return cls(vocabulary, stored["ends"], *(stored[name].astype(np.int64) for name in ("parent", "token")))


@dataclass(frozen=True)
class NgramMeans:
    """What is known of some units on n-grams."""

    ngrams: Ngrams
    units: np.ndarray
    """(sample,): their numbers, ascending."""
    counts: np.ndarray
    """(rows,) int64: the places of each n-gram in the half."""
    means: np.ndarray
    """(rows, sample) float32: the mean activation over them."""
    overall: np.ndarray
    """(sample,): the mean over all places."""
    strength: np.ndarray
    """(ORDERS, sample): the k of each order; 0 of single tokens, whose means speak for themselves."""

    def expected(self, order: int) -> np.ndarray:
        """What units do at an n-gram of at most `order` tokens, and, in the last row, at an unknown token: (rows + 1,
        sample) float64."""
        lower = self.overall[None].astype(np.float64)
        rows = [lower]
        for length in range(1, order + 1):
            level = self.ngrams.of_order(length)
            # The parents of one order are the rows of the order below.
            parent = 0 if length == 1 else self.ngrams.parent[level] - self.ngrams.of_order(length - 1).start
            base = lower[np.broadcast_to(parent, level.stop - level.start)]
            share = weight(self.counts[level, None], self.strength[length - 1])
            lower = base + share * (self.means[level] - base)
            rows.append(lower)
        return np.concatenate([*rows[1:], rows[0]])


def weight(count: np.ndarray, k: np.ndarray | float) -> np.ndarray:
    """How much a mean over `count` places counts next to what is expected of its parent."""
    return count / np.maximum(count + k, 1e-9)  # 0 of a mean over nothing


def ngram_name(layer: int) -> str:
    """The file of one layer's means on n-grams."""
    return f"ngrams-{layer}.safetensors"


def write_ngrams(path: Path, known: NgramMeans) -> None:
    """Keep them; the means as float32."""
    columns = {name: getattr(known, name) for name in ("units", "counts", "means", "overall", "strength")}
    save_file({name: np.ascontiguousarray(value) for name, value in (known.ngrams.tensors() | columns).items()}, path)


def read_ngrams(records: Artifact, layer: int, vocabulary: int) -> NgramMeans:
    """What was kept; raises InputError where there are none: records of an earlier version lack them."""
    path = records.path / ngram_name(layer)
    if not path.is_file():
        raise InputError(
            f"{path} is missing: these records are of an earlier version, which kept no n-grams. Record again."
        )
    stored = load_file(path)
    columns = (stored[name] for name in ("units", "counts", "means", "overall", "strength"))
    return NgramMeans(Ngrams.of_tensors(stored, vocabulary), *columns)


def _before(tokens: np.ndarray, count: int) -> np.ndarray:
    """The token that stands `count` before each place of texts (texts, T); -1 before a text's start."""
    before = np.full(tokens.shape, -1, np.int64)
    before[:, count:] = tokens[:, :-count]
    return before
