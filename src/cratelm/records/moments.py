"""Sums over all tokens from which a unit's statistics follow, in float64."""

from collections.abc import Mapping

import numpy as np
import torch

from cratelm.records.pairs import Pairs

BLOCK = 256
"""Tokens whose powers are in memory at once: few enough to stay in the processor's cache."""
SHARED = ("token", "position")


class Moments:
    """Power sums, firing counts and maxima of every unit; of pairs that share something mean, square and product."""

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
        shared = [pairs[name] for name in SHARED]
        self.tokens += len(flat)
        self.pairs += torch.tensor([kind.count for kind in shared])
        self.maximum = torch.maximum(self.maximum, activations.amax(1).amax(0))
        # Sums over tokens are products with weights: the fastest way that a processor has.
        ones = torch.ones(len(flat), dtype=torch.float64, device=flat.device)
        weights = torch.stack([ones, *(kind.weight for kind in shared), *(kind.lone for kind in shared)])  # (5, tokens)
        for block, weight in zip(flat.split(BLOCK), weights.split(BLOCK, dim=1), strict=True):
            self._see_block(block, weight)
        for kind, of_kind in enumerate(shared):
            for rows, scale in of_kind.blocks:
                sums = rows @ flat  # (some rows, units)
                for one, of_one in zip(sums.split(BLOCK), scale.split(BLOCK), strict=True):
                    self.pair_sums[kind, 2] += of_one @ one.double().square_()

    def _see_block(self, block: torch.Tensor, weight: torch.Tensor) -> None:
        """Sums over some tokens: block (tokens, units), weight (5, tokens)."""
        all_ones, first = weight[0], block.double()
        second = first * first
        of_first, of_second = weight[:3] @ first, weight @ second
        self.powers += torch.stack(
            [of_first[0], of_second[0], all_ones @ (second * first), all_ones @ (second * second)]
        )
        self.pair_sums += torch.stack([of_first[1:], of_second[1:3], -of_second[3:]], dim=1)
        self.fired += (all_ones.float() @ block.sign()).nan_to_num().long()

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
