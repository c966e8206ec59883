"""What a unit's statistics follow from: central moments, firing counts and maxima, in float64."""

from collections.abc import Mapping

import numpy as np
import torch

BLOCK = 256
"""Tokens whose powers are in memory at once."""
IN_CACHE = 2**15
"""Activations whose powers stay in a processor's cache: there, fewer tokens are in memory at once."""


class Moments:
    """The mean of every unit, the sums of powers of what its activations lie from it, firing counts and maxima.

    Powers are taken about the mean so far, and batches are put together by Pébay's formulas (Sandia report
    SAND2008-6212). Sums of raw powers would cancel: with mean 3 and spread 1e-6 nothing would be left of a fourth
    moment.
    """

    def __init__(self, units: int, device: torch.device | str = "cpu"):
        sums = {"dtype": torch.float64, "device": device}
        self.tokens = torch.zeros((), dtype=torch.int64)
        self.fired = torch.zeros(units, dtype=torch.int64, device=device)
        self.maximum = torch.zeros(units, device=device)
        self.mean = torch.zeros(units, **sums)
        self.central = torch.zeros(3, units, **sums)
        """Sums of the second, third and fourth powers of the distances from the mean."""

    def update(self, activations: torch.Tensor) -> None:
        """See a batch: activations (contexts, T, units), none below 0."""
        flat = activations.reshape(-1, activations.shape[-1])  # (contexts * T, units)
        batch = Moments(flat.shape[1], flat.device)
        batch.tokens += len(flat)
        batch.maximum = activations.amax(1).amax(0) + 0.0  # GELU gives -0.0, which would be shown with its sign
        # Distances from a number near the mean lose no digits; `apart` says how near it was.
        about = self.mean if self.tokens else flat[:BLOCK].double().mean(0)
        powers, fired = _sums_of_powers(flat, about)
        batch.fired += fired
        apart, second, third, fourth = powers / len(flat)
        batch.mean = about + apart
        central = (
            second - apart**2,
            third - 3 * apart * second + 2 * apart**3,
            fourth - 4 * apart * third + 6 * apart**2 * second - 3 * apart**4,
        )
        batch.central = torch.stack(central) * len(flat)
        self.add(vars(batch))

    def state(self) -> dict[str, torch.Tensor]:
        """All that was summed, by name."""
        return {name: value.cpu() for name, value in vars(self).items()}

    def add(self, state: Mapping[str, torch.Tensor]) -> None:
        """Add what another stretch of text came to."""
        here, there = int(self.tokens), int(state["tokens"])
        every = here + there
        apart = state["mean"] - self.mean
        second, third, fourth = self.central
        second_there, third_there, fourth_there = state["central"]
        # What two stretches with different means add to a sum of squares.
        between = apart**2 * (here * there / every)
        self.central = torch.stack(
            [
                second + second_there + between,
                third
                + third_there
                + apart * between * ((here - there) / every)
                + 3 * apart * (here * second_there - there * second) / every,
                fourth
                + fourth_there
                + apart**2 * between * ((here**2 - here * there + there**2) / every**2)
                + 6 * apart**2 * (here**2 * second_there + there**2 * second) / every**2
                + 4 * apart * (here * third_there - there * third) / every,
            ]
        )
        self.mean = self.mean + apart * (there / every)
        self.maximum = torch.maximum(self.maximum, state["maximum"])
        self.fired = self.fired + state["fired"]
        self.tokens = self.tokens + there

    @property
    def finite(self) -> np.ndarray:
        """(units,) whether all activations were finite: squares of finite float32 add up in float64."""
        return torch.isfinite(self.central[0]).numpy()

    def statistics(self) -> dict[str, np.ndarray]:
        """Each unit's statistics, (units,) each; NaN for what a unit that never varies or is not finite lacks."""
        second, third, fourth = np.where(self.finite, self.central.numpy(), np.nan) / int(self.tokens)
        spread = np.where(second > 0, second, np.nan)
        return {
            "firing_rate": self.fired.numpy() / int(self.tokens),
            "maximum": np.where(self.finite, self.maximum.numpy().astype(np.float64), np.nan),
            "mean": np.where(self.finite, self.mean.numpy(), np.nan),
            "variance": second,
            "skewness": third / spread**1.5,
            "kurtosis": fourth / spread**2,
            "finite": self.finite,
        }


def _sums_of_powers(flat: torch.Tensor, about: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of activations (tokens, units), the sums of the first four powers of their distances, and how many are above 0.

    (4, units) float64 and (units,) int64.
    """
    units, device = flat.shape[1], flat.device
    size = min(BLOCK, max(16, IN_CACHE // units)) if device.type == "cpu" else BLOCK
    sums, fired = torch.zeros(4, units, dtype=torch.float64, device=device), torch.zeros(units, device=device)
    # One buffer for all blocks: memory that is new each time takes as long as the arithmetic.
    powers = torch.empty(4, size, units, dtype=torch.float64, device=device)
    ones = torch.ones(size, dtype=torch.float64, device=device)
    for block in flat.split(size):
        first, second, third, fourth = powers[:, : len(block)]
        first.copy_(block).sub_(about)
        torch.mul(first, first, out=second)
        torch.mul(second, first, out=third)
        torch.mul(second, second, out=fourth)
        # Sums over tokens are products with ones: the fastest way that a processor has.
        every = ones[: len(block)]
        sums += torch.matmul(every, powers[:, : len(block)])
        # A sign is 0 or 1 here, so that a product with ones counts; where there is a NaN, nothing is counted.
        fired += every.float() @ block.sign()
    return sums, fired.nan_to_num().long()
