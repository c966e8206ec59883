"""What counting n-grams would lose on a corpus: a yardstick for models that know as many tokens.

Interpolated Kneser-Ney models (Kneser & Ney 1995), the discount of each order n1 / (n1 + 2 n2) by how many n-grams
occur once and twice (Ney, Essen & Kneser 1994); below the single token every token is as likely.
"""

import numpy as np

from cratelm.artifacts import Artifact, read_json
from cratelm.corpus.read_tokens import read_side, read_train

Counts = tuple[np.ndarray, np.ndarray]
"""The n-grams that occur, as numbers in base V in rising order, and how often each does."""
ORDERS = (1, 2, 3)
"""Lengths of the n-grams; 64 bits hold three tokens of any vocabulary that 16 bits hold, not four."""


def ngram_losses(tokens: Artifact) -> dict[str, float]:
    """Nats a token on the validation documents, by the length of the n-grams that were counted in the train text."""
    vocabulary = read_json(tokens.path / "counts.json")["tokenizer"]["vocabulary"]
    train, held_out = read_train(tokens), read_side(tokens, "validation").tokens
    counted = train[0 : len(train)]
    found = {order: probabilities(counted, held_out, vocabulary, order) for order in ORDERS}
    return {str(order): float(-np.log(of).mean()) for order, of in found.items()}


def probabilities(train: np.ndarray, held_out: np.ndarray, vocabulary: int, order: int) -> np.ndarray:
    """The probability of each held-out token from the third on, after the order - 1 before it: (N - 2,)."""
    below = [_count(_grams(train, vocabulary, order))]
    for length in range(order - 1, 0, -1):  # a shorter n-gram counts by how many different tokens stand before it
        below.append(_count(below[-1][0] % vocabulary**length))
    probability: np.ndarray | float = 1 / vocabulary
    for length, of in enumerate(reversed(below), start=1):
        wanted = _grams(held_out, vocabulary, length)[max(ORDERS) - length :]
        probability = _interpolated(of, wanted, vocabulary, probability)
    return np.asarray(probability)


def _interpolated(counts: Counts, wanted: np.ndarray, vocabulary: int, lower: np.ndarray | float) -> np.ndarray:
    """Discounted counts, and what was taken off spread out as the shorter n-grams say."""
    grams, times = counts
    once, twice = (times == 1).sum(), (times == 2).sum()
    discount = once / (once + 2 * twice) if once else 0.5
    contexts, context = np.unique(grams // vocabulary, return_inverse=True)
    total = _look(contexts, np.bincount(context, times), wanted // vocabulary)
    kinds = _look(contexts, np.bincount(context), wanted // vocabulary)
    seen = np.maximum(_look(grams, times, wanted) - discount, 0)
    return np.where(total > 0, (seen + discount * kinds * lower) / np.maximum(total, 1), lower)


def _grams(tokens: np.ndarray, vocabulary: int, length: int) -> np.ndarray:
    """Every n-gram as one number, (N - length + 1,)."""
    windows = np.lib.stride_tricks.sliding_window_view(tokens.astype(np.int64), length)
    return windows @ vocabulary ** np.arange(length - 1, -1, -1)


def _count(grams: np.ndarray) -> Counts:
    return np.unique(grams, return_counts=True)


def _look(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The values of the keys that are wanted, 0 where there is no such key."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
