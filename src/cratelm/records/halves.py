"""One half of the measured text, cut into contexts and excerpts, and the random draws from it."""

from dataclasses import dataclass

import numpy as np

from cratelm.corpus.contexts import Contexts, cut_contexts
from cratelm.corpus.tokens import Side
from cratelm.errors import InputError
from cratelm.seeds import derive_seed


@dataclass(frozen=True)
class Half:
    """The `explain` or the `score` side, with its excerpts numbered in the order of the text."""

    name: str
    side: Side
    contexts: Contexts
    excerpt: int
    """Tokens in an excerpt."""
    first_excerpt: np.ndarray
    """(contexts,) int64: the number of each context's first excerpt."""
    context_of: np.ndarray
    """(excerpts,) int64: the context that each excerpt lies in."""

    @property
    def document_of(self) -> np.ndarray:
        """(excerpts,) int64: the document that each excerpt lies in."""
        return self.contexts.document[self.context_of]

    def start_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The place of each excerpt's first token on the side."""
        contexts = self.context_of[excerpts]
        return self.contexts.start[contexts] + (excerpts - self.first_excerpt[contexts]) * self.excerpt

    def tokens_of(self, excerpts: np.ndarray) -> np.ndarray:
        """The tokens of excerpts of any shape S: (S, excerpt) uint16."""
        return self.side.tokens[self.start_of(excerpts)[..., None] + np.arange(self.excerpt)]


def cut_half(name: str, side: Side, context: int, excerpt: int) -> Half:
    """Cut a side for a model that reads `context` tokens, the end-of-text token before them included.

    Raises InputError where no document is as long as an excerpt, or an excerpt does not fit a context.
    """
    longest = (context - 1) // excerpt * excerpt
    if not longest:
        raise InputError(
            f"an excerpt of {excerpt} tokens and the end-of-text token do not fit a context of {context}: "
            "give a longer --shape.context or a shorter --records.excerpt."
        )
    contexts = cut_contexts(side, longest, excerpt)
    counts = contexts.length // excerpt
    if not len(counts):
        raise InputError(f"too little text: no document of the {name} side is {excerpt} tokens long.")
    first = np.cumsum(counts) - counts
    return Half(name, side, contexts, excerpt, first, np.repeat(np.arange(len(counts)), counts))


def draw_pool(half: Half, size: int, seed: int) -> np.ndarray:
    """The excerpts that all units draw their random ones from, sorted: at most `size` of them."""
    generator = np.random.default_rng(derive_seed(seed, "pool", half.name))
    excerpts = len(half.context_of)
    return np.sort(generator.choice(excerpts, min(size, excerpts), replace=False))


def draw_random(pool: np.ndarray, units: int, count: int, seed: int, site: str, half: str) -> np.ndarray:
    """Each unit's random excerpts, `count` of the pool without repetition: (units, count).

    A unit's draw depends on the seed, the half, the site and its own number alone.
    """
    count = min(count, len(pool))
    draws = np.empty((units, count), dtype=np.int64)
    for unit in range(units):
        generator = np.random.default_rng(derive_seed(seed, "random", half, site, unit))
        draws[unit] = generator.choice(pool, count, replace=False, shuffle=False)
    return draws


def same_token_pairs(tokens: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place of a batch another place with the same token in another document: two (pairs,) index arrays.

    Within one token's places, sorted by document, each is paired with the one that lies `m` further on in a
    circle, where `m` is the largest number of places in one document: no document is `m` long and meets itself
    again before a full turn if `m` is at most half of all. Where one document has more than half of a token's
    places, its surplus is left out. So each place kept stands once on either side, and both sides have the same
    mean and variance.
    """
    order = np.lexsort((documents, tokens))
    token, document = tokens[order], documents[order]
    runs = np.r_[True, (token[1:] != token[:-1]) | (document[1:] != document[:-1])]
    run = np.cumsum(runs) - 1
    run_length = np.bincount(run)
    within = np.arange(len(order)) - np.flatnonzero(runs)[run]
    total = np.bincount(token)[token]
    keep = within < np.maximum(total - run_length[run], 0)  # a dominating document keeps as many as all others have
    order, token, run = order[keep], token[keep], run[keep]
    if not len(order):
        return order, order
    starts = np.flatnonzero(np.r_[True, token[1:] != token[:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    group = np.repeat(np.arange(len(starts)), sizes)
    longest = np.maximum.reduceat(np.bincount(run, minlength=run.max() + 1)[run], starts)
    partner = starts[group] + (np.arange(len(order)) - starts[group] + longest[group]) % sizes[group]
    return order, order[partner]
