"""The positions at which units are read again with less text before them: a seeded sample of the score half."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cratelm.records.hash_sampling import mix
from cratelm.records.tiling import Half
from cratelm.seeds import derive_seed

MOST = 2048
"""Positions, at most."""
TOKENS_A_POSITION = 128
"""Tokens of the half for each position, at least: shorter texts have fewer positions, so that the time stays a share of
the recording's. A position costs 63 tokens for all k, and with its share of a whole context about 95."""
APART = 32
"""Tokens of a context for each of its positions."""


@dataclass(frozen=True)
class Positions:
    """Some positions of a half, in the order of `context`."""

    context: np.ndarray
    """(positions,) int64: the context of each."""
    place: np.ndarray
    """(positions,) int64: its place there."""

    def split(self, size: int) -> Iterator["Positions"]:
        """About `size` at a time, those of a context together."""
        begins = np.flatnonzero(np.diff(self.context, prepend=-1))
        number = begins // size
        cuts = begins[np.flatnonzero(np.diff(number, prepend=-1))]
        for first, last in zip(cuts, [*cuts[1:], len(self.context)], strict=True):
            yield Positions(self.context[first:last], self.place[first:last])


def sample_positions(half: Half, seed: int) -> Positions:
    """Positions of contexts in random order, a few of each, until there are enough; equally long contexts together."""
    length = half.contexts.length
    wanted = max(1, min(MOST, int(length.sum()) // TOKENS_A_POSITION))
    shuffled = np.argsort(mix(np.arange(len(length)) + derive_seed(seed, "context", half.name)), kind="stable")
    each = np.maximum(1, length[shuffled] // APART)
    chosen = shuffled[: int(np.searchsorted(np.cumsum(each), wanted)) + 1]
    chosen = chosen[np.argsort(length[chosen], kind="stable")]
    generator = np.random.default_rng(derive_seed(seed, "positions", half.name))
    places = [np.sort(generator.choice(length[one], max(1, length[one] // APART), replace=False)) for one in chosen]
    return Positions(np.repeat(chosen, [len(some) for some in places]), np.concatenate(places).astype(np.int64))
