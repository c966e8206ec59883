"""What a unit's statistics follow from: central moments, firing counts and maxima, in float64."""

from collections.abc import Mapping

import numpy as np
import torch

BLOCK = 256
"""Tokens whose powers are in memory at once: few enough to stay in the processor's cache."""


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
        batch.maximum = activations.amax(1).amax(0)
        # Distances from a number near the mean lose no digits; `apart` says how near it was.
        about = self.mean if self.tokens else flat[:BLOCK].double().mean(0)
        # Sums over tokens are products with ones: the fastest way that a processor has.
        ones = torch.ones(BLOCK, dtype=torch.float64, device=flat.device)
        powers = torch.zeros(4, flat.shape[1], dtype=torch.float64, device=flat.device)
        for block in flat.split(BLOCK):
            every, first = ones[: len(block)], block.double() - about
            second = first * first
            powers += torch.stack([every @ first, every @ second, every @ (second * first), every @ (second * second)])
            # A sign is 0 or 1 here, so that a product with ones counts; a block with a NaN counts none.
            batch.fired += (every.float() @ block.sign()).nan_to_num().long()
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
