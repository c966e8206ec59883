"""What reporting can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.ranges import Configuration, Seed, whole


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Configuration):
    """What the report shows."""

    cards: Annotated[int, whole(0, 10_000)] = 10
    """Units of each model that are shown, drawn at random from all its layers."""
    seed: Seed = 0
    """Seed of that draw."""
