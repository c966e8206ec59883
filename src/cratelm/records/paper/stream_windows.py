"""The paper's text: consecutive rows of one stream, and the windows that are cut round its positions.

The published code reads 8,000 rows of 1,024 tokens for OpenAI's metrics and the first 800 of them for Anthropic's,
keeps all activations, flattens them, and cuts 64 or 8 tokens round a position: windows run across rows and documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cratelm.corpus.contexts import Contexts
from cratelm.corpus.read_tokens import Side
from cratelm.errors import InputError
from cratelm.records.tiling import Half, Shard

OPENAI, ANTHROPIC = 64, 8
"""Tokens in a window of OpenAI's metrics, and of Anthropic's."""
LIMITS = {OPENAI: 8000 * 1024, ANTHROPIC: 800 * 1024}
"""Tokens of the stream that windows of each length are taken from."""


@dataclass(frozen=True)
class Windows:
    """The windows of one length, numbered by the position that they are cut round."""

    side: Side
    contexts: Contexts
    length: int
    """Tokens in a window: half of them before its position."""
    limit: int
    """Tokens of the stream, from its start, that windows are taken from."""

    @property
    def before(self) -> int:
        """Tokens before the position."""
        return self.length // 2

    @property
    def count(self) -> int:
        """How many positions have a whole window; the published code cuts those at the stream's ends short."""
        return self.limit - self.length + 1

    def locate(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The document of each position, and the places of its window's first token in the stream and in its row.

        All have the shape of `positions`.
        """
        return self.document_of(positions), self.start_of(positions), self.place_of(positions)

    def document_of(self, positions: np.ndarray) -> np.ndarray:
        """The document that each position lies in."""
        return np.searchsorted(self.side.ends, positions, side="right")

    def start_of(self, positions: np.ndarray) -> np.ndarray:
        """The place of each window's first token in the stream."""
        return positions - self.before

    def place_of(self, positions: np.ndarray) -> np.ndarray:
        """The place of each window's first token in its row."""
        return self.start_of(positions) % int(self.contexts.length[0])

    def tokens_of(self, positions: np.ndarray) -> np.ndarray:
        """The tokens of windows round positions of any shape S: (S, length)."""
        return self.side.tokens[self.start_of(positions)[..., None] + np.arange(self.length)]


def cut_stream(sides: list[Side], context: int, tokens: int | None = None) -> Half:
    """The sides' documents in a row, cut into rows of `context` tokens; what fills no row is dropped.

    Raises InputError where the text fills no row, or a row is shorter than a window.
    """
    if context < OPENAI:
        raise InputError(f"a window of {OPENAI} tokens does not fit a row of {context}: the model has to read more.")
    most = min(LIMITS[OPENAI], tokens or LIMITS[OPENAI])
    text = np.concatenate([side.tokens[:most] for side in sides])[:most]
    rows = len(text) // context
    if not rows:
        raise InputError(f"too little text: {len(text)} tokens fill no row of {context}. Give more (--records.tokens).")
    offsets = np.cumsum([0, *(len(side.tokens) for side in sides)])
    ends = np.concatenate([side.ends + offset for side, offset in zip(sides, offsets[:-1], strict=True)])
    whole = rows * context
    ends = np.r_[ends[ends < whole], whole]
    side = Side(text[:whole], ends)
    start = np.arange(rows) * context
    document = np.searchsorted(ends, start, side="right")
    contexts = Contexts(document, start, np.full(rows, context), len(text) - whole)
    limits = {length: min(whole, limit // context * context) for length, limit in LIMITS.items()}
    tilings = {length: Windows(side, contexts, length, limit) for length, limit in limits.items()}
    return Half("text", side, contexts, tilings, own_start=False)


def cut_rows(half: Half, batch: int, shard: int) -> Iterator[Shard]:
    """Consecutive rows in batches of about `batch` tokens, and batches in shards of about `shard`."""
    context = int(half.contexts.length[0])
    size = max(1, batch // context)
    rows = np.arange(len(half.contexts.start))
    batches = [rows[first : first + size] for first in range(0, len(rows), size)]
    per_shard = max(1, shard // (size * context))
    for first in range(0, len(batches), per_shard):
        yield Shard(half, batches[first : first + per_shard])
