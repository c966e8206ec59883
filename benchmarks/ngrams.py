"""What counts alone would lose on a study's validation documents: python benchmarks/ngrams.py TOKENS

TOKENS is a folder that `cratelm tokenize` made. Prints nats a token of interpolated Kneser-Ney models (Kneser & Ney
1995; discounts n1 / (n1 + 2 n2) by order, Ney et al. 1994) of one to four tokens on the train side: a floor for a model
that sees so many tokens at a time.
"""

import sys
from pathlib import Path

import numpy as np

from cratelm.artifacts import open_artifact, read_json
from cratelm.corpus.tokens import read_side

Counts = tuple[np.ndarray, np.ndarray]
"""The n-grams that occur, as numbers in base V in rising order, and how often each does."""


def main(folder: Path) -> None:
    """One line an order."""
    tokens = open_artifact(folder, "tokens")
    vocabulary = read_json(tokens.path / "counts.json")["tokenizer"]["vocabulary"]
    shards = [np.fromfile(path, dtype="<u2") for path in sorted(tokens.path.glob("train-*.ds"))]
    train, held_out = np.concatenate(shards), np.asarray(read_side(tokens, "validation").tokens)
    print(f"{len(train):,} train tokens, {len(held_out):,} validation tokens, V = {vocabulary:,}")
    for order in (1, 2, 3, 4):
        print(f"{order} tokens: {-np.log(probabilities(train, held_out, vocabulary, order)).mean():.3f} nats a token")


def probabilities(train: np.ndarray, held_out: np.ndarray, vocabulary: int, order: int) -> np.ndarray:
    """The probability of each held-out token from the fourth on, behind the order - 1 before it: (N - 3,)."""
    counts = _count(_grams(train, vocabulary, order))
    below = [counts]
    for length in range(order - 1, 0, -1):  # a shorter n-gram counts by how many different tokens stand before it
        below.append(_count(below[-1][0] % vocabulary**length))
    probability: np.ndarray | float = 1 / vocabulary
    for length, of in enumerate(reversed(below), start=1):
        wanted = _grams(held_out, vocabulary, length)[4 - length :]
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
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
