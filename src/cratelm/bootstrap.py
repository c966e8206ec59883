"""Bootstrap intervals over whole documents (Efron 1979, percentile method)."""

import numpy as np

LEVEL = 0.95


def document_weights(documents: int, replicates: int, seed: int) -> np.ndarray:
    """How often each document is drawn in each replicate: (replicates, documents) float64 counts."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(documents, np.full(documents, 1 / documents), size=replicates).astype(np.float64)


def interval(replicates: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95% percentile interval of replicates along `axis`; replicates that are NaN are left out."""
    low, high = np.nanquantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=axis)
    return low, high


def ratio_interval(numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000) -> list[float]:
    """The interval of sum(numerators) / sum(denominators), both (documents,), when documents are drawn again."""
    weights = document_weights(len(numerators), replicates, seed)
    low, high = interval((weights @ numerators) / (weights @ denominators))
    return [float(low), float(high)]
