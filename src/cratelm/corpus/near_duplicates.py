"""Which held-out documents are near-duplicates, and a half for each group of them.

Two documents are near-duplicates where they share at least half of the distinct 8-grams of the one that has fewer.
A group is everything that a chain of near-duplicates connects. The grams are of words, lower-cased runs of `\\w`
or single other characters that are no space, and not of tokens: a group does not depend on the tokenizer. A
document of fewer than 8 words has one gram, all its words, so short documents are near-duplicates where their
words are the same.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

GRAM = 8
WORD = re.compile(r"\w+|[^\w\s]")
BLOCK = 10_000_000
"""About how many matches one block of a comparison may find: what bounds the memory, at some hundred MB."""


@dataclass(frozen=True)
class _SharedGrams:
    """The grams that at least two documents hold."""

    counts: np.ndarray
    """(documents,) int64: how many distinct grams each document holds, those of it alone included."""
    number: int
    """How many grams there are."""
    held: csr_array
    """(documents, grams) of ones: what each document holds."""
    rarest: csr_array
    """(documents, grams) of ones: those of `held` that are in the rarer half of their document's grams, and one more.

    Of two near-duplicates the one with fewer grams shares half of them, so at least one of these.
    """


def near_duplicate_groups(texts: Sequence[str]) -> np.ndarray:
    """Each document's group, as the index of the group's earliest document: (documents,) int64.

    Exact: nothing is sampled, and grams are told apart by number, not by hash. The cost is a sort of all words, and a
    comparison for each pair that shares a gram in the rarer half of the grams of the one with fewer. Boilerplate is
    seldom in that half. Where it is, each document is compared to the one before it first, and only pairs with
    a document outside a gram's largest group are left: so it costs no square of its documents, unless they are made
    of common grams and still unlike each other. Memory grows with the number of words alone.
    """
    groups = np.arange(len(texts))
    if not texts:
        return groups
    grams = _shared_grams(texts)
    groups = _join(grams, groups, *_neighbours(grams.rarest))
    main = _main_groups(grams, groups)
    # Two documents of a gram's largest group are in one group already, so one of a pair is outside.
    strangers, rare_strangers = (_outside(held, groups, main) for held in (grams.held, grams.rarest))
    for rarest, held in ((rare_strangers, grams.held), (grams.rarest, strangers)):
        for left, right in _candidates(rarest, held):
            groups = _join(grams, groups, left, right)
    return groups


def halves(
    texts: Sequence[str], explain_share: float, score_share: float
) -> tuple[list[str], list[int], dict[str, int]]:
    """`explain` or `score` for each document, in the proportion of the shares (above 0); each document's group; counts.

    A group of near-duplicates is on one half, which the smallest hash of its texts decides: a document without
    near-duplicates depends on its own text alone. `groups` counts all groups, `near_duplicate_groups` those of more
    than one document, `near_duplicate_documents` the documents in these.
    """
    smallest: dict[int, bytes] = {}
    groups = near_duplicate_groups(texts).tolist()
    for text, group in zip(texts, groups, strict=True):
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        smallest[group] = min(digest, smallest.get(group, digest))
    half = {group: _half_of(digest, explain_share, score_share) for group, digest in smallest.items()}
    sizes = np.bincount(groups, minlength=1)
    counts = {
        "groups": len(smallest),
        "near_duplicate_groups": int((sizes > 1).sum()),
        "near_duplicate_documents": int(sizes[sizes > 1].sum()),
    }
    return [half[group] for group in groups], groups, counts


def _half_of(smallest: bytes, explain_share: float, score_share: float) -> str:
    # Hashed once more: documents are held out by this hash, so only some of its values are here.
    digest = hashlib.blake2b(smallest, digest_size=8).digest()
    place = int.from_bytes(digest, "little") / 2**64
    return "explain" if place < explain_share / (explain_share + score_share) else "score"


def _shared_grams(texts: Sequence[str]) -> _SharedGrams:
    owner, gram = _distinct_grams(texts)
    counts = np.bincount(owner, minlength=len(texts))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    rare = place <= np.repeat(counts // 2, counts)
    shared = np.bincount(gram)[gram] > 1
    names, number = np.unique(gram[shared], return_inverse=True)
    shape = (len(texts), len(names))
    held = _ones(owner[shared], number, shape)
    rarest = _ones(owner[shared & rare], number[rare[shared]], shape)
    return _SharedGrams(counts, len(names), held, rarest)


def _distinct_grams(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Each document's distinct grams, rarest first: the documents and the grams' numbers, both (grams held,) int64."""
    words, owner = _words(texts)
    names = words
    # Numbers for pairs of words, then for pairs of such pairs, then for pairs of those: 8 words.
    for step in (1, 2, 4):
        names = np.unique(names[:-step] * (names.max() + 1) + names[step:], return_inverse=True)[1]
    inside = owner[: len(names)] == owner[GRAM - 1 :]
    owner, names = owner[: len(names)][inside], names[inside]
    order = np.argsort(np.bincount(names), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return np.divmod(np.unique(owner * len(rank) + rank[names]), len(rank))


def _words(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """All words in a row, as numbers, and the document of each: both (words,) int64."""
    numbers = {"": 0}
    documents = []
    for text in texts:
        words = [numbers.setdefault(word, len(numbers)) for word in WORD.findall(text.lower())]
        # The number 0 is no word: a short document's one gram is all its words, filled up.
        documents.append(np.array(words + [0] * (GRAM - len(words)), dtype=np.int64))
    lengths = [len(words) for words in documents]
    return np.concatenate(documents), np.repeat(np.arange(len(texts)), lengths)


def _ones(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> csr_array:
    return csr_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=shape)


def _neighbours(rarest: csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of documents that follow each other among the holders of a gram."""
    gram, document = rarest.T.tocsr().nonzero()
    same = gram[:-1] == gram[1:]
    return document[:-1][same], document[1:][same]


def _main_groups(grams: _SharedGrams, groups: np.ndarray) -> np.ndarray:
    """(grams,) int64: the group that most of each gram's documents are in."""
    document, gram = grams.held.nonzero()
    pairs, counts = np.unique(gram.astype(np.int64) * len(groups) + groups[document], return_counts=True)
    main = np.zeros(grams.number, dtype=np.int64)
    # Of several values for one place, the last one stays: the largest group's.
    gram, group = np.divmod(pairs[np.argsort(counts, kind="stable")], len(groups))
    main[gram] = group
    return main


def _outside(held: csr_array, groups: np.ndarray, main: np.ndarray) -> csr_array:
    """What remains of `held` without the documents of each gram's main group."""
    document, gram = held.nonzero()
    outside = groups[document] != main[gram]
    return _ones(document[outside], gram[outside], (len(groups), len(main)))


def _candidates(rarest: csr_array, held: csr_array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs of a document in `rarest` and one in `held` that share a gram, in blocks."""
    holders = held.T.tocsr()
    for block in _blocks(rarest @ np.diff(holders.indptr)):
        left, right = (rarest[block] @ holders).nonzero()
        yield left + block.start, right


def _join(grams: _SharedGrams, groups: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The groups, (documents,), after those pairs of documents that are near-duplicates have joined theirs."""
    apart = groups[left] != groups[right]
    # 64 bits: a sparse matrix's indices may have 32, which the number of a pair outgrows.
    pairs = np.unique(left[apart].astype(np.int64) * len(groups) + right[apart])
    left, right = np.divmod(pairs, len(groups))
    near = _are_near(grams, left, right)
    ends = np.concatenate([groups, right[near]])
    starts = np.concatenate([np.arange(len(groups)), left[near]])
    graph = coo_array((np.ones(len(ends), dtype=bool), (starts, ends)), shape=(len(groups), len(groups)))
    labels = connected_components(graph, directed=False)[1]
    return np.unique(labels, return_index=True)[1][labels]


def _are_near(grams: _SharedGrams, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(pairs,) bool: whether these two documents share half of the grams of the one with fewer."""
    held = np.diff(grams.held.indptr)
    blocks = _blocks(held[left] + held[right])
    shared = [csr_array(grams.held[left[block]]).multiply(grams.held[right[block]]).sum(axis=1) for block in blocks]
    return 2 * np.concatenate(shared) >= np.minimum(grams.counts[left], grams.counts[right])


def _blocks(costs: np.ndarray) -> list[slice]:
    """Consecutive items whose costs, each at least 0, add up to about BLOCK, or one item that costs more."""
    edges = np.flatnonzero(np.diff(np.cumsum(costs, dtype=np.int64) // BLOCK)) + 1
    return [slice(start, end) for start, end in pairwise([0, *edges.tolist(), len(costs)])]
