"""What scoring can be told."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from cratelm.errors import InputError
from cratelm.judges.simulators import SIMULATORS
from cratelm.ranges import Configuration, Seed, whole
from cratelm.registry import listed
from cratelm.score.registry import DEFAULT_METRICS, METRICS, metrics_named

_METRIC = "The metrics, with commas between them. The protocol `paper` has the first three alone."


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(Configuration):
    """What is measured, and how uncertainty is drawn."""

    metric: Annotated[str, Parameter(help=f"{_METRIC} {listed(METRICS.values())}")] = ",".join(DEFAULT_METRICS)
    simulator: str = "all-at-once"
    """How the language model of --llm is asked what an explanation predicts: `all-at-once`, `token-by-token`,
    `log-probability-free` or `listing`."""
    puzzles: str | None = None
    """A file of puzzles with which the language model of --llm is tested first, instead of the package's own."""
    replicates: Annotated[int, whole(100, 1_000_000)] = 1000
    """How many bootstrap replicates the intervals are computed from."""
    seed: Seed = 0
    """Seed of the bootstrap and of the shuffled control."""

    def __post_init__(self) -> None:
        super().__post_init__()
        metrics_named(self.metric)
        if self.simulator not in SIMULATORS:
            raise InputError(f"unknown simulator {self.simulator!r}: choose from {', '.join(SIMULATORS)}.")
