"""Which pieces of a half's text are kept with the activations of many units, and how a pass keeps them.

A piece is a context, or a part of a longer one, so that a sample of long contexts still has many documents. Pieces are
drawn uniformly among those of the half without its near-duplicates: of each group of near-duplicate documents only one
takes part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cratelm.records.hash_sampling import mix
from cratelm.records.text_sample import text_name, write_activations, write_pieces
from cratelm.records.tiling import Half, Shard
from cratelm.seeds import derive_seed
from cratelm.stats import first_of_each

TOKENS = 16_384
"""Of a half, at most; one piece at least. 512 units then take 17 MB a layer and half, before compression."""
LONGEST = 512
"""Tokens of a piece, at most: the sample then has 32 pieces or more."""
UNITS_AT_ONCE = 32
"""Units in a row group."""


@dataclass(frozen=True)
class Pieces:
    """Some pieces of a half, in the order of the text."""

    context: np.ndarray
    """(pieces,) int64: the context that each is of."""
    place: np.ndarray
    """(pieces,) int64: where it begins there."""
    length: np.ndarray
    """(pieces,) int64: the number of its tokens."""

    def where(self, kept: np.ndarray) -> "Pieces":
        """Those that a mask or an index keeps."""
        return Pieces(self.context[kept], self.place[kept], self.length[kept])

    def in_contexts(self, contexts: np.ndarray) -> Iterator[tuple[int, int]]:
        """The pieces of contexts as they come by: the row of the context, and the number of the piece."""
        bounds = zip(np.searchsorted(self.context, contexts), np.searchsorted(self.context, contexts + 1), strict=True)
        for row, (first, last) in enumerate(bounds):
            yield from ((row, piece) for piece in range(first, last))


def cut_pieces(length: np.ndarray, longest: int = LONGEST) -> Pieces:
    """Contexts of so many tokens, (contexts,), in pieces of at most `longest`."""
    counts = -(-length // longest)
    context = np.repeat(np.arange(len(length)), counts)
    place = longest * (np.arange(len(context)) - np.repeat(np.cumsum(counts) - counts, counts))
    return Pieces(context, place, np.minimum(length[context] - place, longest))


def draw_pieces(half: Half, seed: int, tokens: int = TOKENS) -> Pieces:
    """Pieces of a half, about `tokens` tokens of it; all but near-duplicates where it has no more."""
    contexts = half.contexts
    pieces = cut_pieces(contexts.length)
    pieces = pieces.where(np.isin(contexts.document[pieces.context], distinct_documents(half, seed)))
    shuffled = _shuffled(len(pieces.context), derive_seed(seed, "text sample", half.name))
    count = int(np.searchsorted(np.cumsum(pieces.length[shuffled]), tokens, side="right"))
    return pieces.where(np.sort(shuffled[: max(1, count)]))


def distinct_documents(half: Half, seed: int) -> np.ndarray:
    """A document with a context of each group of near-duplicates, drawn by seed."""
    documents = np.unique(half.contexts.document)
    shuffled = documents[_shuffled(len(documents), derive_seed(seed, "text documents", half.name))]
    return shuffled[first_of_each(half.side.group[shuffled])]


def _shuffled(count: int, seed: int) -> np.ndarray:
    return np.argsort(mix(np.arange(count) + np.int64(seed)), kind="stable")


class PieceActivations:
    """What some units of a site do on a half's pieces, written as the contexts of a shard come by."""

    def __init__(self, path: Path, pieces: Pieces, units: np.ndarray):
        self._file, self._pieces, self._units = path.open("wb"), pieces, torch.from_numpy(units)

    def see(self, batch: np.ndarray, activations: torch.Tensor) -> None:
        """See a batch of contexts: activations (contexts, T, units)."""
        for row, piece in self._pieces.in_contexts(batch):
            first = int(self._pieces.place[piece])
            some = activations[row, first : first + int(self._pieces.length[piece])]
            self._file.write(some[:, self._units.to(some.device)].cpu().numpy().tobytes())

    def close(self) -> None:
        """All is seen."""
        self._file.close()


def write_pieces_of(folder: Path, half: Half, pieces: Pieces) -> None:
    """Write the pieces of a half."""
    start = half.contexts.start[pieces.context] + pieces.place
    tokens = [half.side.tokens[first : first + count] for first, count in zip(start, pieces.length, strict=True)]
    write_pieces(folder / text_name(half.name), half.contexts.document[pieces.context], pieces.place, tokens)


def write_of_shards(path: Path, pieces: Pieces, units: np.ndarray, shards: Sequence[tuple[Shard, Path]]) -> None:
    """Write what `units` (n,) do on a half's pieces, from the files that PieceActivations wrote for each shard."""
    order = _in_text_order(pieces, [shard for shard, _ in shards])
    files = [_opened(file, len(units)) for _, file in shards]
    parts = (slice(first, first + UNITS_AT_ONCE) for first in range(0, len(units), UNITS_AT_ONCE))
    write_activations(
        path, ((units[some], np.concatenate([file[:, some] for file in files])[order].T) for some in parts)
    )


def _opened(path: Path, units: int) -> np.ndarray:
    """(tokens, units) float32; no file of no bytes can be mapped into memory."""
    if not path.stat().st_size:
        return np.empty((0, units), np.float32)
    return np.memmap(path, np.float32, "r").reshape(-1, units)


def _in_text_order(pieces: Pieces, shards: Sequence[Shard]) -> np.ndarray:
    """The index of each token of the pieces, in the order of the text, in the order in which shards saw them."""
    seen = np.concatenate([np.array([piece for _, piece in pieces.in_contexts(s.order())], np.int64) for s in shards])
    length = pieces.length[seen]
    token = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.argsort(np.repeat(seen, length) * LONGEST + token)
