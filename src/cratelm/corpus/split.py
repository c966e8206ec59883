"""Which side a document is on: a pure function of its text.

So the sides are the same for every model, seed, machine and order of reading, and no text that an explainer or
a model in training has seen is ever scored.
"""

import hashlib

from cratelm.corpus.config import CorpusConfig


def side_of(text: str, config: CorpusConfig) -> str:
    """`validation`, `explain`, `score` or `train`, by the hash of the text."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "little") / 2**64
    for side in ("validation", "explain", "score"):
        share = getattr(config, f"{side}_share")
        if place < share:
            return side
        place -= share
    return "train"
