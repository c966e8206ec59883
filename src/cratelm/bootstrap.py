"""Bootstrap intervals over whole documents (Efron 1979, percentile method)."""

import numpy as np

LEVEL = 0.95


def draw_weights(things: int, replicates: int, seed: int) -> np.ndarray:
    """How often each of so many things is drawn in each replicate: (replicates, things) float64 counts."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(things, np.full(things, 1 / things), size=replicates).astype(np.float64)


def interval(replicates: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95% percentile interval of replicates along `axis`; replicates that are NaN are left out."""
    ascending = np.sort(np.moveaxis(replicates, axis, -1), axis=-1)  # NaN is last
    last = (~np.isnan(ascending)).sum(-1) - 1
    low, high = (_between(ascending, last, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return low, high


def _between(ascending: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
    """The value at a share of the way from the first of each row to its last, by a straight line between two."""
    place = share * np.maximum(last, 0)
    below = np.floor(place).astype(np.int64)
    one, other = (
        np.take_along_axis(ascending, at[..., None], axis=-1)[..., 0]
        for at in (below, np.minimum(below + 1, np.maximum(last, 0)))
    )
    return one + (place - below) * (other - one)


def ratio_interval(numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000) -> list[float]:
    """The interval of sum(numerators) / sum(denominators), both (documents,), when documents are drawn again."""
    weights = draw_weights(len(numerators), replicates, seed)
    low, high = interval((weights @ numerators) / (weights @ denominators))
    return [float(low), float(high)]
