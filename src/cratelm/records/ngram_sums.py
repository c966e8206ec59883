"""Means on n-grams out of the shards' sums, and how far each unit's are drawn towards those on shorter ones.

The k of a unit and order is chosen between the two parts of the documents: what the one part's means expect is compared
with the other part's activations, and the k with the least squared error is taken.
"""

from collections.abc import Sequence

import numpy as np

from cratelm.corpus.contexts import context_tokens, equal_batches
from cratelm.records.ngrams import ORDERS, NgramMeans, Ngrams, weight
from cratelm.records.shares import PARTS, part_of_contexts
from cratelm.records.tiling import Half
from cratelm.records.token_sums import TokenSumsFile

STRENGTHS = (np.inf, 256.0, 128.0, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0, 0.5)
"""The k that are tried. With inf the parent alone speaks, so that longer n-grams do no harm; it is taken in a tie."""
CONTEXTS = 256
"""Contexts whose n-grams are counted at once."""


def keys_of(ngrams: Ngrams, tokens: np.ndarray) -> np.ndarray:
    """The row of the longest n-gram at each place of texts (texts, T); one more than there are where there is none."""
    longest = ngrams.longest(tokens)
    return np.where(longest < 0, len(ngrams.token), longest)


def add_up(ngrams: Ngrams, half: Half, units: np.ndarray, files: Sequence[TokenSumsFile]) -> NgramMeans:
    """The means of units (sample,) over a half, from what its shards summed by `keys_of`, in their order."""
    rows = len(ngrams.token) + 1
    sums = np.zeros((rows * PARTS, len(units)))
    for file in files if len(units) else ():
        file.add_to(sums, np.arange(len(sums)))
    # (PARTS, rows, sample), without the places that no n-gram is known at
    by_part = _totals(ngrams, sums.reshape(rows, PARTS, len(units)).swapaxes(0, 1)[:, :-1])
    counts = _totals(ngrams, _counts(ngrams, half)[..., None])
    strength = choose_strengths(ngrams, by_part, counts)
    total, count, singles = by_part.sum(0), counts.sum(0), ngrams.of_order(1)
    overall = total[singles].sum(0) / count[singles].sum()
    return NgramMeans(ngrams, units, count[:, 0], (total / np.maximum(count, 1)).astype(np.float32), overall, strength)


def _counts(ngrams: Ngrams, half: Half) -> np.ndarray:
    """How often each n-gram is the longest at a place, in each part: (PARTS, rows)."""
    part, rows = part_of_contexts(half), len(ngrams.token) + 1
    counts = np.zeros(PARTS * rows, np.int64)
    for batch in equal_batches(half.contexts, CONTEXTS):
        keys = keys_of(ngrams, context_tokens(half.side, half.contexts, batch)) + rows * part[batch, None]
        counts += np.bincount(keys.ravel(), minlength=PARTS * rows)
    return counts.reshape(PARTS, rows)[:, :-1]


def _totals(ngrams: Ngrams, own: np.ndarray) -> np.ndarray:
    """Sums over all places of each n-gram, of those over places where it is the longest: (PARTS, rows, columns)."""
    totals = own.copy()
    for order in range(ORDERS, 1, -1):
        rows = ngrams.of_order(order)
        if rows.stop > rows.start:
            parents, begins = np.unique(ngrams.parent[rows], return_index=True)
            totals[:, parents] += np.add.reduceat(totals[:, rows], begins, axis=1)  # rows ascend by parent
    return totals


def choose_strengths(ngrams: Ngrams, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The k of each order and unit, (ORDERS, sample), from sums (PARTS, rows, sample) and counts (PARTS, rows, 1)."""
    singles = ngrams.of_order(1)
    lower = sums[:, singles].sum(1, keepdims=True) / np.maximum(counts[:, singles].sum(1, keepdims=True), 1)
    chosen = []
    for order in range(1, ORDERS + 1):
        rows = ngrams.of_order(order)
        parent = 0 if order == 1 else ngrams.parent[rows] - ngrams.of_order(order - 1).start
        base = lower[:, np.broadcast_to(parent, rows.stop - rows.start)]
        of_order = sums[:, rows], counts[:, rows]
        # Means on single tokens are left as in table-full: drawn to a mean above 0, no two would be 0, and ranks would
        # tell apart tokens on which the unit never fires.
        strength = np.zeros(sums.shape[2]) if order == 1 else _least_error(*of_order, base)
        step = of_order[0] / np.maximum(of_order[1], 1) - base
        lower = base + weight(of_order[1], strength) * step
        chosen.append(strength)
    return np.stack(chosen)


def _least_error(sums: np.ndarray, counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The k of each unit at which one part's means come nearest to the other part's activations: (sample,).

    With w the weight, m the mean in the one part, b what its parents expect, and n places with sum s in the other, the
    squared error is a constant + w 2 (m - b) (n b - s) + w^2 n (m - b)^2, added up over n-grams.
    """
    errors = np.zeros((len(STRENGTHS), sums.shape[2]))
    for fitted, other in ((0, 1), (1, 0)):
        weights = np.stack([weight(counts[fitted, :, 0], k) for k in STRENGTHS])  # (strengths, rows)
        step = sums[fitted] / np.maximum(counts[fitted], 1) - base[fitted]
        errors += weights @ (2 * step * (counts[other] * base[fitted] - sums[other]))
        errors += weights**2 @ (counts[other] * step**2)
    # Units that are not finite have errors that are not: they take the first.
    return np.array(STRENGTHS)[np.argmin(np.nan_to_num(errors, nan=0.0), axis=0)]
