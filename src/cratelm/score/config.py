"""What scoring can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.errors import InputError
from cratelm.judges.simulators import SIMULATORS
from cratelm.ranges import Configuration, Seed, whole

CORRELATIONS = ("top-and-random", "random-only", "anthropic")
"""The metrics of the paper: correlations of simulated and true activations."""
DETECTIONS = ("detection", "fuzzing", "intruder")
"""Whether an explanation tells where a unit fires, excerpt by excerpt."""
METRICS = (*CORRELATIONS, "auroc", "consistency", "specificity", *DETECTIONS)
"""All that is measured of each unit and explainer."""
PRIMARY_METRIC = "random-only"
"""With the explainer `table`, and the mean over all layers: the endpoint named before any study is run."""


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
        for name in self.metrics:
            if name not in METRICS:
                raise InputError(f"unknown metric {name!r}: choose from {', '.join(METRICS)}.")
        if self.simulator not in SIMULATORS:
            raise InputError(f"unknown simulator {self.simulator!r}: choose from {', '.join(SIMULATORS)}.")

    @property
    def metrics(self) -> list[str]:
        """The names in `metric`."""
        return [name.strip() for name in self.metric.split(",")]
