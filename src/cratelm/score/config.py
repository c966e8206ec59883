"""What scoring can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError

METRICS = ("top-and-random", "random-only")
PRIMARY_METRIC = "random-only"
"""With the explainer `table`, and the mean over all layers: the endpoint named before any study is run."""


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Which excerpts are scored, and how uncertainty is drawn."""

    top: int = 5
    """Top excerpts of the score half that top-and-random scores of each unit."""
    random: int = 5
    """Random excerpts of the score half that both metrics score of each unit."""
    replicates: int = 1000
    """Bootstrap replicates."""
    seed: int = 0
    """Seed of the bootstrap and of the shuffled control."""

    def __post_init__(self) -> None:
        if min(self.top, self.random) < 1 or self.replicates < 100:
            raise InputError("score: top and random must be 1 or more, replicates 100 or more.")
