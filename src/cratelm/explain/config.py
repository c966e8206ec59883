"""What explaining can be told."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from cratelm.explain.registry import EXPLAINERS, explainers_named
from cratelm.ranges import Configuration, Seed, whole
from cratelm.registry import listed

_EXPLAINER = "The explainers, with commas between them."


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(Configuration):
    """Who explains."""

    explainer: Annotated[str, Parameter(help=f"{_EXPLAINER} {listed(EXPLAINERS.values())}")] = (
        "table,graph,rules,table-full,bigram-full,trigram-full,random"
    )
    llm_units: Annotated[int, whole(2, 1_000_000)] = 20
    """How many units of each layer the explainer `llm` explains, drawn uniformly by seed; 2 or more, because the
    control of each is another one."""
    seed: Seed = 0
    """Seed of the explainer `random`, of the units that `llm` explains, and of the text with which `rules` compares the
    excerpts of units that seldom fire."""

    def __post_init__(self) -> None:
        super().__post_init__()
        explainers_named(self.explainer)
