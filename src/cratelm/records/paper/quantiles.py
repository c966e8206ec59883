"""Anthropic's quantile windows as the published code draws them: bins of rank among all tokens, the top one left out.

A position's bin needs its rank among all activations of its unit, and nobody can keep them all. So positions come from
one uniform pool: the second pass counts, exactly, how many activations lie below each of a unit's values there. What
falls into a bin of ranks is a uniform sample of that bin, and each unit draws its windows among them by hash.
"""

import numpy as np

from cratelm.records.hash_sampling import mix
from cratelm.seeds import derive_seed

BINS = 12
"""Equal parts of the ranks; the published twelve edges leave out the highest part."""
DRAWN = 20
"""Windows of each unit and bin that are kept."""


def exact_ranks(values: np.ndarray, counts: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The ranks of the pool's activations among all of their unit's, 0 being the lowest: (units, P) int64.

    `values` (units, P); `counts` (units, P + 1): how many activations have so many of the unit's sorted pool below
    them. Equal activations have the highest of their ranks, silent ones a random one among all silent ones, by `share`
    (units, P) in [0, 1).
    """
    order = np.argsort(values, axis=1, kind="stable")
    at_most = np.cumsum(counts, axis=1, dtype=np.int64)[:, :-1]  # (units, P): activations up to each sorted value
    ranks = np.empty_like(at_most)
    np.put_along_axis(ranks, order, at_most - 1, axis=1)
    return np.where(values > 0, ranks, (share * (ranks + 1)).astype(np.int64))


def bin_of(ranks: np.ndarray, tokens: int) -> np.ndarray:
    """The bin of each rank, in the shape of `ranks`; 0 is the lowest.

    Bins are cut at whole numbers, from the top, as the published code cuts them.
    """
    edges = np.array([tokens * part // BINS for part in range(BINS + 1)])
    return BINS - np.searchsorted(edges, tokens - 1 - ranks, side="right")


def draw_quantiles(bins: np.ndarray, pool: np.ndarray, seed: int, *purpose: str | int) -> tuple[np.ndarray, ...]:
    """Up to DRAWN of each unit and bin but the highest: unit, bin, rank and place in the pool, (rows,) each.

    `bins` (units, P).
    """
    own = mix(np.arange(len(bins)) + np.int64(derive_seed(seed, "quantiles", *purpose)))
    priority = mix(own[:, None] ^ mix(pool)) >> np.uint64(8)  # (units, P): room for the bin above it
    order = np.argsort(bins.astype(np.uint64) << np.uint64(56) | priority, axis=1, kind="stable")
    ordered = np.take_along_axis(bins, order, axis=1)
    first = np.stack([np.sum(bins < value, axis=1) for value in range(BINS)], axis=1)  # (units, BINS)
    rank = np.arange(bins.shape[1]) - np.take_along_axis(first, ordered, axis=1)
    unit, column = np.nonzero((rank < DRAWN) & (ordered < BINS - 1))
    return unit, ordered[unit, column], rank[unit, column], order[unit, column]


def silent_shares(units: int, pool: np.ndarray, seed: int, *purpose: str | int) -> np.ndarray:
    """A random number in [0, 1) for each unit and position of the pool: (units, P)."""
    own = mix(np.arange(units) + np.int64(derive_seed(seed, "silent", *purpose)))
    return (mix(own[:, None] ^ mix(pool)) >> np.uint64(11)).astype(np.float64) / 2**53
