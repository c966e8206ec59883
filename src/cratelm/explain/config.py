"""What explaining can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError

WITHOUT_TEXT = ("table", "graph", "random", "constant")
"""The explainers that need a unit's excerpts alone; the last two are controls, which do not even look at them."""
SENTENCES = ("table", "graph")
"""The explainers whose explanations are kept as text."""
EXPLAINERS = (*WITHOUT_TEXT, "table-full")
"""`table-full` sees the whole explain half, and is a ceiling."""


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """Who explains."""

    explainer: str = "table,graph,table-full,random"
    """`table`, `graph`, `table-full`, `random` or `constant`, with commas between them."""
    seed: int = 0
    """Seed of `random`."""

    def __post_init__(self) -> None:
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
