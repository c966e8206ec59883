"""What a metric is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cratelm.explain.explainer import Explainer
from cratelm.protocols import Protocol
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.scored import Scored

OPENAI = "openai"
"""Evidence of top excerpts alone."""


@dataclass(frozen=True)
class Metric:
    """Bind one in a module of `score/metrics`, or offer one as an entry point of `cratelm.metrics`; nothing else has to
    change."""

    name: str
    help: str
    """One line, for people: what a high score says."""
    compute: Callable[[LayerInputs], Scored]
    order: int = 100
    """Where it stands in tables: the lowest first."""
    excerpts: str | None = None
    """Which excerpts it reads, one of the protocol's `scored`, so that a plan knows what a language model is sent."""
    chance: float = 0.0
    """What an explanation that says nothing gets, and so what a unit that cannot be scored counts as."""
    roles: tuple[str, ...] = ("explainer", "control")
    """The explainers that it applies to, by their role."""
    in_words: bool = True
    """Whether it takes explanations in words, by a language model or typed into the viewer: False where there is too
    much text to read."""
    headline: bool = False
    """Whether it stands in the main tables and figures; the others stand in a table of their own. It needs intervals,
    and so sums over excerpts; so do those with `endpoint` or `unit_intervals`."""
    note: str = ""
    """What else a reader of its numbers has to know: goes on from "In NAME, "."""
    endpoint: bool = False
    """Whether models are compared by it, with p-values."""
    unit_intervals: bool = False
    """Whether a unit has enough excerpts for an interval of its own, which has been shown to cover."""
    details: tuple[str, ...] = ()
    """The columns, besides the score, that the table of details shows."""
    version: str = ""
    """Changes with what it computes; kept in the manifest of scores, so that scores of another version are not taken
    for its own. Empty where cratelm's version says it."""
    most_asked: Callable[[Iterator[int]], list[str]] | None = None
    """The most prompts, each with a number of its own, that a language model is sent for a unit; None where it is asked
    to simulate the excerpts."""

    def applies(self, explainer: Explainer, protocol: Protocol) -> bool:
        """Whether an explainer's explanations are scored by it under a protocol."""
        if not protocol.has(self.name) or explainer.role not in self.roles:
            return False
        if explainer.sees_half and not protocol.tables:
            return False
        return self.in_words or not explainer.in_words

    def missing(self, protocol: Protocol) -> float:
        """What a unit that cannot be scored counts as; NaN is nothing."""
        return self.chance if protocol.missing == "chance" else float("nan")
