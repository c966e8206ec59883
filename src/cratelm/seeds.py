"""One seed a study, and a seed of its own for every draw made from it."""

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed below 2**63 for one named purpose, so that no two draws share their random numbers."""
    words = "/".join(str(word) for word in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little") >> 1
