"""What measuring effects can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.ranges import Configuration, Seed, whole


@dataclass(frozen=True, kw_only=True)
class EffectsConfig(Configuration):
    """Which units are set to zero, and at how many positions of the text."""

    units: Annotated[int, whole(2, 2**20)] = 48
    """Units of each layer, drawn by seed among those that fire in the sample of text."""
    strong: Annotated[int, whole(1, 10_000)] = 16
    """Positions of each unit at which it fires most: above half of its maximum there, drawn by seed; the highest ones
    where these are fewer."""
    random: Annotated[int, whole(2, 100_000)] = 64
    """Positions of each unit that are drawn from the whole sample."""
    attributed: Annotated[int, whole(0, 2**20)] = 12
    """Of them, units of each layer above the first that are also taken apart into what earlier units contribute, at one
    position each, to see how far that is true of the model."""
    seed: Seed = 0
    """Seed of these draws, and of the controls."""
