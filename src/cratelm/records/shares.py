"""Token share and position share: how much of a unit's variance lies between tokens, or between places in a context.

The documents of a half are dealt into two parts, near-duplicates together. A unit's mean activation on a token in the
one part and in the other share nothing but the token, so their covariance over tokens, weighted by frequency, is the
variance between tokens without bias, however few places a mean is of. A variance of the means themselves would be too
large by each mean's own error, and most for units that fire on rare tokens.

A token that occurs in one part alone has no covariance and counts as nothing. So a share is too low where there are
many such tokens: in little text, or with a large vocabulary.
"""

import numpy as np
import torch

from cratelm.records.tiling import Half

PARTS = 2


def part_of_contexts(half: Half) -> np.ndarray:
    """The part of each context's document: (contexts,) of 0 or 1."""
    # Near-duplicates in both parts would make chance look like something that tokens share.
    groups = half.side.group[half.contexts.document]
    return np.unique(groups, return_inverse=True)[1].ravel() % PARTS


def position_counts(half: Half) -> np.ndarray:
    """How many contexts of each part reach each place: (PARTS, longest)."""
    part, length = part_of_contexts(half), half.contexts.length
    places = np.arange(length.max())
    return np.stack([(length[part == one, None] > places).sum(0) for one in range(PARTS)])


def token_counts(half: Half, vocabulary: int) -> np.ndarray:
    """How often each token occurs in the contexts of each part of a half: (PARTS, V)."""
    counts = np.zeros((PARTS, vocabulary), dtype=np.int64)
    contexts = half.contexts
    for part, start, length in zip(part_of_contexts(half), contexts.start, contexts.length, strict=True):
        np.add.at(counts[part], half.side.tokens[start : start + length], 1)
    return counts


def paired_tokens(half: Half, vocabulary: int) -> int:
    """The places of a half whose token occurs in both parts: the others have no part in any token share."""
    counts = token_counts(half, vocabulary)
    return int(counts[:, counts.all(axis=0)].sum())


class PositionSums:
    """The summed activations at each place of a context, for the units of a sample."""

    def __init__(self, longest: int, sample: int):
        self.sums = torch.zeros(PARTS, longest, sample, dtype=torch.float64)

    def see(self, part: np.ndarray, activations: torch.Tensor) -> None:
        """See a batch: the parts of contexts (contexts,), and activations (contexts, T, sample)."""
        # A product with a 0/1 matrix sums the contexts of each part in one call.
        of_part = torch.from_numpy(np.eye(PARTS, dtype=np.float32)[:, part]).to(activations.device)
        sums = (of_part @ activations.flatten(1)).unflatten(1, activations.shape[1:])  # (PARTS, T, sample)
        self.sums[:, : activations.shape[1]] += sums.cpu()


class Shares:
    """The share of units' variance that lies between values: tokens or places, some values at a time."""

    def __init__(self, units: int):
        self._units = units
        self._count = np.zeros(PARTS)
        self._total = np.zeros((PARTS, units))
        self._weight = 0.0
        self._first = np.zeros((PARTS, units))
        self._product = np.zeros(units)

    def see(self, sums: np.ndarray, counts: np.ndarray) -> None:
        """See some values: summed activations (PARTS, values, units), and how many places they are of (PARTS, values).

        A value that is missing in a part has no covariance, and counts as a place without a share.
        """
        # Counts hold every place, also those of values that one part lacks: they belong to the share's denominator.
        self._count += counts.sum(1)
        self._total += sums.sum(1)
        both = counts.min(0) > 0
        weight = counts[:, both].sum(0)
        means = sums[:, both] / counts[:, both, None]
        self._weight += weight.sum()
        self._first += weight @ means
        self._product += np.einsum("v,vu,vu->u", weight, *means)

    def of(self, variance: np.ndarray) -> np.ndarray:
        """The covariance over the units' variance (units,): (units,); NaN without two parts, or without a variance."""
        if not self._count.min():
            return np.full(self._units, np.nan)
        one, other = self._total / self._count[:, None]
        # A covariance about the means of each part, from sums that were taken about 0.
        product = self._product - one * self._first[1] - other * self._first[0] + one * other * self._weight
        with np.errstate(invalid="ignore", divide="ignore"):
            return product / self._count.sum() / np.where(variance > 0, variance, np.nan)
