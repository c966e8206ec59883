"""One half of the measured text, cut into contexts, excerpts, batches and shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cratelm.corpus.contexts import Contexts, cut_contexts
from cratelm.corpus.read_tokens import Side
from cratelm.corpus.small_text import FEW, LARGER_SHARES
from cratelm.errors import InputError
from cratelm.protocols import LONG, SHORT, SHORT_TEXTS
from cratelm.records.hash_sampling import mix
from cratelm.seeds import derive_seed


@dataclass(frozen=True)
class Tiling:
    """The excerpts of one length that tile a half's contexts, numbered in the order of the text."""

    side: Side
    contexts: Contexts
    length: int
    """Tokens in an excerpt."""
    first: np.ndarray
    """(contexts,) int64: the number of each context's first excerpt."""
    count: int
    """How many there are."""

    @classmethod
    def of(cls, side: Side, contexts: Contexts, length: int) -> "Tiling":
        """Excerpts of `length` tokens from each context's start; what fills none at its end is in none."""
        counts = contexts.length // length
        return cls(side, contexts, length, np.cumsum(counts) - counts, int(counts.sum()))

    def context_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The context that each excerpt lies in, in the shape of `excerpts`."""
        return np.searchsorted(self.first, excerpts, side="right") - 1

    def locate(self, excerpts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each excerpt's document, and the places of its first token on the side and in its context, in their shape."""
        contexts = self.context_of(excerpts)
        place = (excerpts - self.first[contexts]) * self.length
        return self.contexts.document[contexts], self.contexts.start[contexts] + place, place

    def document_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The document that each excerpt lies in."""
        return self.locate(excerpts)[0]

    def start_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The place of each excerpt's first token on the side."""
        return self.locate(excerpts)[1]

    def place_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The place of each excerpt's first token in its context."""
        return self.locate(excerpts)[2]

    def tokens_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The tokens of excerpts of any shape S: (S, length)."""
        return self.side.tokens[self.start_of(excerpts)[..., None] + np.arange(self.length)]


@dataclass(frozen=True)
class Half:
    """The `explain` or the `score` side; the one text of the paper's protocol."""

    name: str
    side: Side
    contexts: Contexts
    tilings: dict[int, Any]
    """By the length of their excerpts: the protocol's long one and SHORT, or the windows of the paper's protocol."""
    own_start: bool = True
    """Whether the model reads the end-of-text token before each context."""

    @property
    def long(self) -> int:
        """Tokens in a long excerpt."""
        return max(self.tilings)


def cut_half(name: str, side: Side, context: int, tokens: int | None = None, long: int = LONG) -> Half:
    """Cut a side for a model that reads `context` tokens, the end-of-text token before them included.

    Contexts are whole numbers of long excerpts, of `long` tokens; short ones tile them too. `tokens` takes whole
    documents from the start, up to so many tokens. Raises InputError where no document is as long as an excerpt, or an
    excerpt does not fit a context.
    """
    longest = (context - 1) // long * long
    if not longest:
        raise InputError(
            f"an excerpt of {long} tokens and the end-of-text token do not fit a context of {context}: "
            f"the model has to read {long + 1} tokens or more (--shape.context)."
        )
    side = side if tokens is None else _first_documents(name, side, tokens)
    contexts = cut_contexts(side, longest, long)
    if not len(contexts.start):
        raise InputError(
            f"too little text: no document of the {name} side is {long} tokens long. The longest of {len(side.ends)} "
            f"has {np.diff(side.ends, prepend=0).max() - 1}. Give longer ones.{_advice(long, len(side.ends))}"
        )
    return Half(name, side, contexts, {length: Tiling.of(side, contexts, length) for length in (long, SHORT)})


def _advice(long: int, documents: int) -> str:
    """What to do about documents shorter than an excerpt. Few of a small text may hold none of its long ones."""
    short = f" For short texts, measure a model with --records.protocol {SHORT_TEXTS.name}."
    more = f" To have more documents on this side, tokenize with larger shares: {LARGER_SHARES}."
    return (short if long > SHORT_TEXTS.long else "") + (more if documents < FEW else "")


def _first_documents(name: str, side: Side, tokens: int) -> Side:
    kept = int(np.searchsorted(side.ends, tokens, side="right"))
    if not kept:
        first = f"the first document of the {name} side has {side.ends[0]}"
        raise InputError(f"--records.tokens {tokens}: {first}. Give more.")
    return side.first(kept)


def cut_batches(half: Half, tokens: int, seed: int) -> list[np.ndarray]:
    """All contexts in batches of about `tokens` tokens, equally long within a batch: nothing is padded.

    Contexts are shuffled, so that a batch is a sample of the text.
    """
    length = half.contexts.length
    shuffled = np.argsort(mix(np.arange(len(length)) + derive_seed(seed, "batches", half.name)), kind="stable")
    batches = []
    for equal in np.unique(length)[::-1]:
        members = shuffled[length[shuffled] == equal]
        size = max(2, tokens // int(equal))
        batches += [members[start : start + size] for start in range(0, len(members), size)]
    return batches


@dataclass(frozen=True)
class Shard:
    """Some batches of one half: work that is done in one go, and not again once it is done."""

    half: Half
    batches: list[np.ndarray]

    def order(self) -> np.ndarray:
        """The shard's contexts as they come by."""
        return np.concatenate(self.batches)


def cut_shards(half: Half, batches: list[np.ndarray], tokens: int) -> Iterator[Shard]:
    """Consecutive batches that come to about `tokens` tokens; the text alone decides where a shard ends."""
    sizes = np.array([half.contexts.length[batch].sum() for batch in batches])
    number = (np.cumsum(sizes) - sizes) // tokens
    for value in np.unique(number):
        yield Shard(half, [batches[index] for index in np.flatnonzero(number == value)])
