"""Sums over all tokens from which a unit's statistics follow, in float64."""

from collections.abc import Mapping

import numpy as np
import torch

from cratelm.records.pairs import Pairs

BLOCK = 256
"""Tokens whose powers are in memory at once: few enough to stay in the processor's cache."""
SHARED = ("token", "position")


class Moments:
    """Power sums, firing counts and maxima of every unit, and the products of pairs that share something."""

    def __init__(self, units: int, device: torch.device | str = "cpu"):
        sums = {"dtype": torch.float64, "device": device}
        self.tokens = torch.zeros((), dtype=torch.int64)
        self.pairs = torch.zeros(len(SHARED), dtype=torch.int64)
        self.fired = torch.zeros(units, dtype=torch.int64, device=device)
        self.maximum = torch.zeros(units, device=device)
        self.powers = torch.zeros(4, units, **sums)
        self.pair_sums = torch.zeros(len(SHARED), 3, units, **sums)

    def update(self, activations: torch.Tensor, pairs: Mapping[str, Pairs]) -> None:
        """See a batch: activations (contexts, T, units), none below 0, and its pairs by what they share."""
        flat = activations.reshape(-1, activations.shape[-1])  # (contexts * T, units)
        self.tokens += len(flat)
        self.maximum = torch.maximum(self.maximum, activations.amax(1).amax(0))
        ones = torch.ones(BLOCK, dtype=torch.float64, device=flat.device)
        for block in flat.split(BLOCK):
            # Sums over tokens are products with ones: the fastest way that a processor has.
            all_ones, first = ones[: len(block)], block.double()
            second = first * first
            self.powers += torch.stack([all_ones @ power for power in (first, second, second * first, second * second)])
            self.fired += (all_ones.float() @ block.sign()).nan_to_num().long()
        for kind, shared in enumerate(SHARED):
            left, right = pairs[shared]
            self.pairs[kind] += len(left)
            for one, other in zip(left.split(BLOCK), right.split(BLOCK), strict=True):
                first, second = flat.index_select(0, one).double(), flat.index_select(0, other).double()
                products = (first, first * first, first * second)
                self.pair_sums[kind] += torch.stack([ones[: len(one)] @ product for product in products])

    def state(self) -> dict[str, torch.Tensor]:
        """All that was summed, by name."""
        return {name: value.cpu() for name, value in vars(self).items()}

    def add(self, state: Mapping[str, torch.Tensor]) -> None:
        """Add what another stretch of text came to."""
        for name, value in vars(self).items():
            if name == "maximum":
                torch.maximum(value, state[name], out=value)
            else:
                value += state[name]

    @property
    def finite(self) -> np.ndarray:
        """(units,) whether all activations were finite: squares of finite float32 add up in float64."""
        return torch.isfinite(self.powers[1]).numpy()

    def statistics(self) -> dict[str, np.ndarray]:
        """Each unit's statistics, (units,) each; NaN for what a unit that never varies or is not finite lacks."""
        powers = np.where(self.finite, self.powers.numpy(), np.nan)
        mean, second, third, fourth = powers / int(self.tokens)
        variance = np.maximum(second - mean**2, 0)
        spread = np.where(variance > 0, variance, np.nan)
        third_central = third - 3 * mean * second + 2 * mean**3
        fourth_central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
        return {
            "firing_rate": self.fired.numpy() / int(self.tokens),
            "maximum": np.where(self.finite, self.maximum.numpy().astype(np.float64), np.nan),
            "mean": mean,
            "variance": variance,
            "skewness": third_central / spread**1.5,
            "kurtosis": fourth_central / spread**2,
            "token_share": self._share(0),
            "position_share": self._share(1),
            "finite": self.finite,
        }

    def _share(self, kind: int) -> np.ndarray:
        """The share of a unit's variance that lies between what pairs share: cov(x, x') / var(x) over the pairs."""
        if not self.pairs[kind]:
            return np.full(len(self.fired), np.nan)
        sums = np.where(self.finite, self.pair_sums[kind].numpy(), np.nan)
        mean, second, product = sums / int(self.pairs[kind])
        variance = second - mean**2
        return (product - mean**2) / np.where(variance > 1e-12 * second, variance, np.nan)
