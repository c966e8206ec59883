"""From many numbers to what may be said: p-values, their correction, and differences over training seeds."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm, t


def two_sided_p(difference: float, replicates: np.ndarray) -> float:
    """How often chance alone gives a difference as large, by a normal with the bootstrap replicates' spread.

    Counting replicates instead would give none below 1 / (replicates + 1), which a correction for fifty comparisons
    takes beyond any level. 1 where the replicates do not vary.
    """
    spread = np.nanstd(replicates, ddof=1)
    return float(2 * norm.sf(abs(difference) / spread)) if spread > 0 else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): below a level with at most that chance of any false one."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def paired_interval(one: Sequence[float], other: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """The mean difference of two models over training seeds, and its t interval: (mean, low, high).

    Pairs share a seed, and with it the order of the data. With one pair the interval is NaN.
    """
    differences = np.subtract(one, other)
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf((1 + level) / 2, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    return mean, mean - half, mean + half
