"""What measuring effects can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.ranges import Configuration, Seed, whole


@dataclass(frozen=True, kw_only=True)
class EffectsConfig(Configuration):
    """Which units are set to zero, and at how many positions of the text."""

    units: Annotated[int, whole(2, 2**20)] = 48
    """How many units of each layer are set to zero, drawn by seed among those that fire in the sample of text."""
    strong: Annotated[int, whole(1, 10_000)] = 16
    """How many strong positions are tested for each unit: drawn by seed from those above half of its maximum in the
    sample, or its highest positions if there are fewer."""
    random: Annotated[int, whole(2, 100_000)] = 64
    """How many random positions are tested for each unit, drawn from the whole sample."""
    attributed: Annotated[int, whole(0, 2**20)] = 12
    """For how many of these units, in each layer above the first, attribution is checked as well: whether the earlier
    units that `cratelm why` names really drive the unit, at one position each."""
    seed: Seed = 0
    """Seed of these draws, and of the controls."""
