"""Which n-grams of the explain half are kept, and of which units."""

import numpy as np

from cratelm.corpus.contexts import Contexts
from cratelm.records.config import RecordConfig
from cratelm.records.ngrams import ORDERS, Ngrams
from cratelm.records.tiling import Half
from cratelm.seeds import derive_seed

MOST = 2**16
"""Pairs and triples that are kept, at most; with them, every token that occurs."""
UNITS = 48
"""Units of a site that are averaged over n-grams, at most: of those that have a token table."""
SEARCHED = 2**24
"""Tokens that n-grams are looked for in, at most: about 1 GB is in memory meanwhile."""
FEWEST = 2
"""An n-gram that occurs once says nothing of other text."""


def ngram_sample(config: RecordConfig, site: str, tables: np.ndarray) -> np.ndarray:
    """The units (n,) of a site that are averaged over n-grams, ascending, drawn from those with token `tables`."""
    generator = np.random.default_rng(derive_seed(config.seed, "n-gram units", site))
    return np.sort(generator.choice(tables, min(UNITS, len(tables)), replace=False))


def find_ngrams(half: Half, vocabulary: int, most: int = MOST) -> Ngrams:
    """The n-grams of a half that occur FEWEST times, or as much more often as it takes to keep no more than `most`."""
    tokens, place = _text(half)
    found, counts = _grown(tokens, place, vocabulary, FEWEST)
    longer = np.sort(counts[found.ends[0] :])[::-1]
    if len(longer) <= most:
        return found
    # One limit for all orders: a parent occurs as often as what it is a part of, and so is kept with it.
    return _grown(tokens, place, vocabulary, int(longer[most]) + 1)[0]


def _grown(tokens: np.ndarray, place: np.ndarray, vocabulary: int, fewest: int) -> tuple[Ngrams, np.ndarray]:
    """The n-grams of a text that occur so often, and how often each does; `place` is each token's in its context."""
    singles, row, count = np.unique(tokens, return_inverse=True, return_counts=True)
    parents, firsts, counts = [np.full(len(singles), -1)], [singles], [count]
    row, ends = row.ravel(), [len(singles)]
    for order in range(2, ORDERS + 1):
        at = np.flatnonzero((row >= 0) & (place >= order - 1))
        keys, inverse, count = np.unique(
            row[at] * vocabulary + tokens[at - order + 1], return_inverse=True, return_counts=True
        )
        kept = count >= fewest
        number = np.where(kept, ends[-1] + np.cumsum(kept) - 1, -1)
        row = np.full(len(tokens), -1)
        row[at] = number[inverse.ravel()]
        parents.append(keys[kept] // vocabulary)
        firsts.append(keys[kept] % vocabulary)
        counts.append(count[kept])
        ends.append(ends[-1] + int(kept.sum()))
    ngrams = Ngrams(vocabulary, np.array(ends), np.concatenate(parents), np.concatenate(firsts))
    return ngrams, np.concatenate(counts)


def _text(half: Half) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of a half's contexts in a row, and the place of each in its context: (tokens,) int64 each."""
    contexts = _first(half.contexts, SEARCHED)
    begins = np.cumsum(contexts.length) - contexts.length
    place = np.arange(int(contexts.length.sum())) - np.repeat(begins, contexts.length)
    return half.side.tokens[np.repeat(contexts.start, contexts.length) + place].astype(np.int64), place


def _first(contexts: Contexts, tokens: int) -> Contexts:
    """The first contexts, so many that they have no more than `tokens` tokens; one at least."""
    kept = slice(max(1, int(np.searchsorted(np.cumsum(contexts.length), tokens, side="right"))))
    return Contexts(contexts.document[kept], contexts.start[kept], contexts.length[kept], contexts.dropped)
