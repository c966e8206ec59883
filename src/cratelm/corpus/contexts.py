"""Documents cut into contexts, for everything that is measured on held-out text.

A context holds tokens of one document only. A model sees it after an end-of-text token, as it saw every
document's start in training; that token itself is never measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cratelm.corpus.read_tokens import Side


@dataclass(frozen=True)
class Contexts:
    """Consecutive pieces of a side's documents, in the order of the text."""

    document: np.ndarray
    """(contexts,) int64: the number of the document on its side."""
    start: np.ndarray
    """(contexts,) int64: the place of the first token on its side."""
    length: np.ndarray
    """(contexts,) int64: the number of tokens."""
    dropped: int
    """Tokens at the documents' ends that fill no excerpt."""


def cut_contexts(side: Side, longest: int, multiple: int = 1) -> Contexts:
    """Cut each document into contexts of `longest` tokens, and a last one cut down to a multiple of `multiple`.

    The end-of-text token that closes a document belongs to no context. `longest` is itself a multiple.
    """
    starts = np.concatenate([[0], side.ends[:-1]])
    lengths = side.ends - starts - 1
    pieces = -(-lengths // longest)
    document = np.repeat(np.arange(len(lengths)), pieces)
    first = np.repeat(np.cumsum(pieces) - pieces, pieces)
    offset = (np.arange(len(document)) - first) * longest
    length = np.minimum(lengths[document] - offset, longest) // multiple * multiple
    kept = length > 0
    return Contexts(document[kept], (starts[document] + offset)[kept], length[kept], int(lengths.sum() - length.sum()))


def equal_batches(contexts: Contexts, size: int) -> Iterator[np.ndarray]:
    """Batches of at most `size` context numbers, all of one length: nothing is padded, and the cut never varies."""
    for length in np.unique(contexts.length)[::-1]:
        members = np.flatnonzero(contexts.length == length)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def context_tokens(side: Side, contexts: Contexts, batch: np.ndarray) -> np.ndarray:
    """The tokens of a batch of equally long contexts: (batch, length) int64."""
    places = contexts.start[batch, None] + np.arange(contexts.length[batch[0]])
    return side.tokens[places].astype(np.int64)
