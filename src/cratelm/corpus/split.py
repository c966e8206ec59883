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


def split_held_out(
    held_out: Sequence[tuple[str, str]], config: CorpusConfig
) -> tuple[dict[str, list[str]], dict[str, list[int]], dict[str, int]]:
    """The documents of the sides validation, explain and score in their order; of the last two, each document's group
    of near-duplicates; and counts of these.

    `held_out` holds pairs of `validation` or `held-out` and a document.
    """
    texts = [text for side, text in held_out if side == HELD_OUT]
    of_each, group_of_each, counts = halves(texts, config.explain_share, config.score_share)
    sides: dict[str, list[str]] = {side: [] for side in SIDES if side != "train"}
    groups: dict[str, list[int]] = {"explain": [], "score": []}
    sides["validation"] = [text for side, text in held_out if side == "validation"]
    for text, half, group in zip(texts, of_each, group_of_each, strict=True):
        sides[half].append(text)
        groups[half].append(group)
    return sides, groups, counts
