"""Sums over all tokens from which a unit's statistics follow, in float64."""

import numpy as np
import torch

BLOCK = 256
"""Tokens whose powers are in memory at once: few enough to stay in the processor's cache."""


class Moments:
    """Power sums, firing counts and maxima of every unit, and the products of same-token pairs."""

    def __init__(self, units: int):
        self.tokens = 0
        self.pairs = 0
        self.fired = torch.zeros(units, dtype=torch.int64)
        self.maximum = torch.zeros(units)
        self.powers = torch.zeros(4, units, dtype=torch.float64)
        self.pair_sums = torch.zeros(3, units, dtype=torch.float64)

    def update(self, activations: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        """See a batch: activations (tokens, units), and the two ends of its same-token pairs, (pairs,) each."""
        self.tokens += len(activations)
        self.pairs += len(left)
        self.maximum = torch.maximum(self.maximum, activations.amax(0))
        self.fired += (activations > 0).sum(0)
        for block in activations.split(BLOCK):
            first = block.double()
            second = first * first
            self.powers[0] += first.sum(0)
            self.powers[1] += second.sum(0)
            self.powers[2] += (second * first).sum(0)
            self.powers[3] += (second * second).sum(0)
        for one, other in zip(left.split(BLOCK), right.split(BLOCK), strict=True):
            first = activations[one].double()
            self.pair_sums[0] += first.sum(0)
            self.pair_sums[1] += (first * first).sum(0)
            self.pair_sums[2] += (first * activations[other]).sum(0)

    def statistics(self) -> dict[str, np.ndarray]:
        """Each unit's statistics, (units,) each; what a unit that never varies has none of is NaN."""
        mean, second, third, fourth = (self.powers / self.tokens).numpy()
        variance = np.maximum(second - mean**2, 0)
        spread = np.where(variance > 0, variance, np.nan)
        third_central = third - 3 * mean * second + 2 * mean**3
        fourth_central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
        return {
            "firing_rate": self.fired.numpy() / self.tokens,
            "maximum": self.maximum.numpy().astype(np.float64),
            "mean": mean,
            "variance": variance,
            "skewness": third_central / spread**1.5,
            "kurtosis": fourth_central / spread**2,
            "token_share": self._token_share(),
        }

    def _token_share(self) -> np.ndarray:
        """The share of a unit's variance that lies between tokens: cov(x, x') / var(x) over same-token pairs."""
        if not self.pairs:
            return np.full(len(self.fired), np.nan)
        mean, second, product = (self.pair_sums / self.pairs).numpy()
        variance = second - mean**2
        return (product - mean**2) / np.where(variance > 1e-12 * second, variance, np.nan)
