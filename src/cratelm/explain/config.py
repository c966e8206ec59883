"""What explaining can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.errors import InputError
from cratelm.ranges import Configuration, Seed, whole

WITHOUT_TEXT = ("table", "graph", "random", "constant")
"""The explainers that need a unit's excerpts alone; the last two are controls, which do not even look at them."""
SENTENCES = ("table", "graph", "llm")
"""The explainers whose explanations are kept as text."""
LLM = "llm"
"""A language model; what it says is words, which a judge has to read before it can be scored."""
EXPLAINERS = (*WITHOUT_TEXT, "table-full", LLM)
"""`table-full` sees the whole explain half, and is a ceiling."""


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(Configuration):
    """Who explains."""

    explainer: str = "table,graph,table-full,random"
    """`table`, `graph`, `table-full`, `random`, `constant` or `llm`, with commas between them."""
    llm_units: Annotated[int, whole(2, 1_000_000)] = 20
    """Units a layer that `llm` explains, drawn uniformly by seed. Each needs another one as its control."""
    seed: Seed = 0
    """Seed of `random`, and of the units that `llm` explains."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.names:
            if name not in EXPLAINERS:
                raise InputError(f"unknown explainer {name!r}: choose from {', '.join(EXPLAINERS)}.")

    @property
    def names(self) -> list[str]:
        """The names in `explainer`."""
        return [name.strip() for name in self.explainer.split(",")]

    @property
    def with_sentences(self) -> list[str]:
        """Those whose explanations say something of a unit."""
        return [name for name in self.names if name in SENTENCES]
