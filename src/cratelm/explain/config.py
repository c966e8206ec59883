"""What explaining can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.explain.registry import explainers_named
from cratelm.ranges import Configuration, Seed, whole


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(Configuration):
    """Who explains."""

    explainer: str = "table,graph,table-full,random"
    """`table`, `graph`, `table-full`, `random`, `constant`, `llm`, or one that an installed package adds; with commas
    between them."""
    llm_units: Annotated[int, whole(2, 1_000_000)] = 20
    """Units a layer that `llm` explains, drawn uniformly by seed. Each needs another one as its control."""
    seed: Seed = 0
    """Seed of `random`, and of the units that `llm` explains."""

    def __post_init__(self) -> None:
        super().__post_init__()
        explainers_named(self.explainer)
