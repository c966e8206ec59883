"""Draws by hash: the same for every order of the text and every cut of the work."""

import numpy as np

from cratelm.seeds import derive_seed

UNITS_AT_ONCE = 64
"""Units whose draws are in memory at once: few enough to stay in the processor's cache."""


def mix(numbers: np.ndarray) -> np.ndarray:
    """64 bits that look random for each number, by splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    x = numbers.astype(np.uint64)
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def priorities(numbers: np.ndarray, seed: int) -> np.ndarray:
    """A random int32 for each number. Of any set, those with the lowest are a uniform sample.

    Two kinds of number with seeds of their own add up: excerpt plus unit, wrapped to 32 bits, is a priority of the
    pair. For one unit that rotates the order of all excerpts, so its lowest are a uniform sample as well.
    """
    # A view as int32, so that a sum of two wraps and is a priority again.
    return (mix(numbers + np.int64(seed)) >> np.uint64(32)).astype(np.uint32).view(np.int32)


def draw_pool(excerpts: int, size: int, seed: int, *purpose: str | int) -> np.ndarray:
    """The excerpts that all units draw their random ones from, sorted: at most `size` of so many."""
    generator = np.random.default_rng(derive_seed(seed, "pool", *purpose))
    return np.sort(generator.choice(excerpts, min(size, excerpts), replace=False))


def draw_random(pool: np.ndarray, units: int, count: int, seed: int, *purpose: str | int) -> np.ndarray:
    """Each unit's random excerpts, `count` of the pool without repetition: (units, count).

    A unit's draw depends on the seed, the purpose and its own number alone.
    """
    count = min(count, len(pool))
    own = mix(np.arange(units) + np.int64(derive_seed(seed, "random", *purpose)))  # (units,)
    of_pool = mix(pool)
    draws = np.empty((units, count), dtype=np.int64)
    for first in range(0, units, UNITS_AT_ONCE):
        order = mix(own[first : first + UNITS_AT_ONCE, None] ^ of_pool)  # (some units, pool)
        # No two numbers of a row are equal, since mix is a bijection: the lowest need not be sorted with all others.
        lowest = np.argpartition(order, count - 1, axis=1)[:, :count]
        sorted_places = np.argsort(np.take_along_axis(order, lowest, axis=1), axis=1)
        draws[first : first + UNITS_AT_ONCE] = pool[np.take_along_axis(lowest, sorted_places, axis=1)]
    return draws
