"""What `strict`, `short` and `paper` mean: how text is read, what explainers see and are scored on, and what counts.

The numbers are those of OpenAI's *Language models can explain neurons in language models* (2023), of Anthropic's
*Towards Monosemanticity* (2023), and of the paper's official code, whose choices `paper` repeats.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

PAPER_METRICS = ("top-and-random", "random-only", "anthropic")
"""The correlations that the paper reports, in the order of its tables."""
LONG, SHORT = 64, 9
"""Tokens in an excerpt of OpenAI's metrics, and of Anthropic's (strict)."""
TWEET = 2 * SHORT
"""Tokens in a long excerpt of short texts: few enough for a tweet, and whole short excerpts."""


@dataclass(frozen=True)
class Draw:
    """Some excerpts of one kind and length of a unit."""

    length: int
    """Tokens in an excerpt."""
    kind: str
    """`top`, `random`, `interval` or `other`."""
    ranks: range
    """Which of them, by rank; of intervals, of each one."""
    crop: tuple[int, int] | None = None
    """From and to which of an excerpt's tokens; all of them with None."""


@dataclass(frozen=True)
class Protocol:
    """How units are measured."""

    name: str
    long: int
    """Tokens in a long excerpt, and so in the shortest document that is measured."""
    recording: str
    """Where the steps of recording are: `module:name`, of a `Steps` of records/record.py. Only a recording loads it."""
    explained_on: str
    """The half that explainers see."""
    scored_on: str
    """The half that they are scored on."""
    shown: dict[str, tuple[Draw, ...]]
    """What explainers are shown, by evidence: `openai` is top excerpts, `anthropic` a spread over all strengths."""
    scored: dict[str, tuple[Draw, ...]]
    """The excerpts that are scored, by the name of the metric that draws them."""
    once: bool
    """Whether an excerpt that stands in several draws is taken once, the next in line filling its place."""
    ranked: tuple[str, ...]
    """The metrics whose correlation is one of ranks (Spearman's rho); the others are Pearson's r."""
    missing: Literal["chance", "left out"]
    """What a unit that cannot be scored counts as."""
    metrics: tuple[str, ...] | None
    """The only metrics that there are; `None`: all."""
    tables: bool
    """Whether a recording keeps the mean of units on every token of each half."""
    intervals_of_maximum: bool
    """Whether interval excerpts are of equal parts of (0, maximum]; otherwise of quantiles of the activations."""
    last_layer_left_out: tuple[int, ...]
    """Models of so many layers are also averaged without the last one."""
    caution: str
    """What is shown with every table of scores."""

    def evidence_of(self, length: int) -> str | None:
        """The evidence whose excerpts have so many tokens, or None."""
        return next((name for name, draws in self.shown.items() if draws[0].length == length), None)

    def has(self, metric: str) -> bool:
        """Whether units are measured by this metric."""
        return self.metrics is None or metric in self.metrics


def _strict(name: str, long: int, caution: str = "") -> Protocol:
    """The protocol strict, with long excerpts of so many tokens."""
    return Protocol(
        name=name,
        long=long,
        recording="cratelm.records.strict_steps:STEPS",
        explained_on="explain",
        scored_on="score",
        shown={
            "openai": (Draw(long, "top", range(5)),),
            "anthropic": (
                Draw(SHORT, "top", range(10)),
                Draw(SHORT, "interval", range(2)),
                Draw(SHORT, "random", range(5)),
                Draw(SHORT, "other", range(10)),
            ),
        },
        scored={
            "top-and-random": (Draw(long, "top", range(5)), Draw(long, "random", range(5))),
            "random-only": (Draw(long, "random", range(5)),),
            "anthropic": (
                Draw(SHORT, "top", range(6)),
                Draw(SHORT, "interval", range(2)),
                Draw(SHORT, "random", range(10)),
                Draw(SHORT, "other", range(20)),
            ),
        },
        once=True,
        # As in Towards Monosemanticity; OpenAI's metrics are Pearson's r.
        ranked=("anthropic",),
        missing="chance",
        metrics=None,
        tables=True,
        intervals_of_maximum=True,
        last_layer_left_out=(),
        caution=caution,
    )


STRICT = _strict("strict", LONG)
SHORT_TEXTS = _strict("short", TWEET, f"excerpts of {TWEET} tokens: compare only with others of this protocol")
# Even ranks are shown and odd ones scored, from one text: neighbours of one passage are on both sides. "Other contexts"
# are the middles of top excerpts. The paper leaves the last of 6 and of 12 layers out, and does not say why.
PAPER = Protocol(
    name="paper",
    long=64,
    recording="cratelm.records.paper.steps:STEPS",
    explained_on="text",
    scored_on="text",
    shown={
        "openai": (Draw(64, "top", range(0, 10, 2)),),
        "anthropic": (Draw(8, "top", range(15)), Draw(8, "interval", range(2)), Draw(8, "random", range(5))),
    },
    scored={
        "top-and-random": (Draw(64, "random", range(0, 10, 2)), Draw(64, "top", range(1, 10, 2))),
        "random-only": (Draw(64, "random", range(0, 10, 2)),),
        "anthropic": (
            Draw(8, "top", range(15, 25)),
            Draw(8, "interval", range(2, 4)),
            Draw(8, "random", range(5, 10)),
            Draw(8, "top", range(25, 35), crop=(3, 6)),
        ),
    },
    once=False,
    ranked=(),
    missing="left out",
    metrics=PAPER_METRICS,
    tables=False,
    intervals_of_maximum=False,
    last_layer_left_out=(6, 12),
    caution="different text, size and judge than published; compare signs only",
)
PROTOCOLS = {protocol.name: protocol for protocol in (STRICT, SHORT_TEXTS, PAPER)}


class Endpoint(NamedTuple):
    """An explainer and a metric, by which models are compared."""

    explainer: str
    metric: str


ENDPOINT = Endpoint("table", "random-only")
"""The explainer and the metric of the endpoint that was named before any study was run: their mean over all layers."""
SECOND_ENDPOINT = Endpoint("table", "whole-text")
"""The second one, named next to it: the same over whole contexts instead of five excerpts."""
