"""Bootstrap intervals over whole documents (Efron 1979, percentile method)."""

import numpy as np

LEVEL = 0.95


def draw_weights(things: int, replicates: int, seed: int) -> np.ndarray:
    """How often each of so many things is drawn in each replicate: (replicates, things) float64 counts."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(things, np.full(things, 1 / things), size=replicates).astype(np.float64)


def interval(replicates: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95% percentile interval of replicates along `axis`; replicates that are NaN are left out."""
    low, high = np.nanquantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=axis)
    return low, high


def ratio_interval(numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000) -> list[float]:
    """The interval of sum(numerators) / sum(denominators), both (documents,), when documents are drawn again."""
    weights = draw_weights(len(numerators), replicates, seed)
    low, high = interval((weights @ numerators) / (weights @ denominators))
    return [float(low), float(high)]
