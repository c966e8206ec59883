"""What scoring can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.errors import InputError
from cratelm.judges.simulators import SIMULATORS
from cratelm.ranges import Configuration, Seed, whole
from cratelm.score.registry import METRICS, metrics_named


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(Configuration):
    """What is measured, and how uncertainty is drawn."""

    metric: str = ",".join(METRICS)
    """What is measured, with commas between: the three correlations and what goes beyond them. The paper's protocol
    has the correlations alone."""
    simulator: str = "all-at-once"
    """How a language model reads the explanations of `llm`: `all-at-once`, `token-by-token`, `log-probability-free` or
    `listing`."""
    puzzles: str | None = None
    """A file of puzzles that the language model is tried on first, instead of the package's own."""
    replicates: Annotated[int, whole(100, 1_000_000)] = 1000
    """Bootstrap replicates."""
    seed: Seed = 0
    """Seed of the bootstrap and of the shuffled control."""

    def __post_init__(self) -> None:
        super().__post_init__()
        metrics_named(self.metric)
        if self.simulator not in SIMULATORS:
            raise InputError(f"unknown simulator {self.simulator!r}: choose from {', '.join(SIMULATORS)}.")
