"""What scoring can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError

CORRELATIONS = ("top-and-random", "random-only", "anthropic")
"""The metrics of the paper: correlations of simulated and true activations."""
METRICS = (*CORRELATIONS, "auroc", "consistency", "specificity")
"""All that is measured of each unit and explainer."""
PRIMARY_METRIC = "random-only"
"""With the explainer `table`, and the mean over all layers: the endpoint named before any study is run."""


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How uncertainty is drawn."""

    replicates: int = 1000
    """Bootstrap replicates."""
    seed: int = 0
    """Seed of the bootstrap and of the shuffled control."""

    def __post_init__(self) -> None:
        if self.replicates < 100:
            raise InputError("score: replicates must be 100 or more.")
