"""Which side a document is on: a function of its text, and of its near-duplicates among the held-out texts.

So the sides are the same for every model, seed, machine and order of reading; no text that a model in training has
seen is ever scored, and no passage that an explainer has seen, nor a near-duplicate of it.
"""

import hashlib
from collections.abc import Sequence

from cratelm.corpus.config import SIDES, CorpusConfig
from cratelm.corpus.near_duplicates import halves

HELD_OUT = "held-out"
"""The documents that explanations are made from or scored on, before it is settled which."""


def side_of(text: str, config: CorpusConfig) -> str:
    """`validation`, `held-out` or `train`, by the hash of the text."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "little") / 2**64
    if place < config.validation_share:
        return "validation"
    return HELD_OUT if place < config.validation_share + config.explain_share + config.score_share else "train"


def split(texts: Sequence[str], config: CorpusConfig) -> tuple[dict[str, list[str]], dict[str, int]]:
    """The documents of each side, in their order, and counts of the near-duplicates among the held-out ones."""
    sides: dict[str, list[str]] = {side: [] for side in (*SIDES, HELD_OUT)}
    for text in texts:
        sides[side_of(text, config)].append(text)
    held_out = sides.pop(HELD_OUT)
    of_each, counts = halves(held_out, config.explain_share, config.score_share)
    for text, half in zip(held_out, of_each, strict=True):
        sides[half].append(text)
    return sides, counts
