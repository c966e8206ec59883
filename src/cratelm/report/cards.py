"""Units drawn at random, each with what it fires on: two top excerpts and a random one of the score half."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.explain import read_sentences
from cratelm.protocols import ENDPOINT
from cratelm.records.store import read_excerpts
from cratelm.report.measured import Measured
from cratelm.report.rows import shown_metrics
from cratelm.report.text import visible
from cratelm.seeds import derive_seed


@dataclass(frozen=True)
class Token:
    """A token of a heatmap."""

    text: str
    activation: float
    share: float
    """The activation as a share of the unit's highest on the card."""


@dataclass(frozen=True)
class Card:
    """One unit, as the report shows it."""

    address: str
    """model/layer/unit."""
    explanation: str
    scores: dict[str, str]
    """Each metric's score, with its interval over excerpts where there are enough of them."""
    status: str
    excerpts: list[tuple[str, list[Token]]]
    """Each excerpt's kind, and its tokens."""


def random_cards(model: Measured, texts: Sequence[str], count: int, seed: int) -> list[Card]:
    """`count` units of a model, uniformly from all its layers, in the order of their addresses."""
    every = [(layer, unit) for layer, units in enumerate(model.layers) for unit in range(units)]
    generator = np.random.default_rng(derive_seed(seed, "cards", model.name))
    drawn = np.sort(generator.choice(len(every), min(count, len(every)), replace=False))
    return [make_card(model, every[place], texts) for place in drawn]


def make_card(model: Measured, address: tuple[int, int], texts: Sequence[str]) -> Card:
    """The card of one unit, by layer and number."""
    layer, unit = address
    excerpts = [
        (kind, tokens, activations)
        for kind, count in (("top", 2), ("random", 1))
        for tokens, activations in _excerpts(model, layer, unit, kind, count)
    ]
    # 1 for a unit that fires nowhere on its card: nothing is divided by 0.
    highest = max((float(activations.max()) for _, _, activations in excerpts), default=0.0) or 1.0
    units = model.units
    found = {
        metric: np.flatnonzero(model.rows(ENDPOINT.explainer, metric, layer) & (units["unit"] == unit))
        for metric in shown_metrics([model])
    }
    rows = {metric: int(at[0]) for metric, at in found.items() if len(at)}  # whole-text is of a sample of units
    return Card(
        address=f"{model.name}/{layer}/{unit}",
        explanation=read_sentences(model.explanations, layer, ENDPOINT.explainer)[unit],
        scores={
            metric: f"{units['score'][row]:.2f}" + _interval(units["low"][row], units["high"][row])
            for metric, row in rows.items()
        },
        status=", ".join(sorted({str(units["status"][row]) for row in rows.values()})),
        excerpts=[
            (
                kind,
                [
                    Token(visible(texts[token]), float(value), max(float(value), 0.0) / highest)
                    for token, value in zip(tokens, activations, strict=True)
                ],
            )
            for kind, tokens, activations in excerpts
        ],
    )


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"


def _excerpts(model: Measured, layer: int, unit: int, kind: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    excerpts = read_excerpts(model.records, layer, "score", kind, [unit])
    return list(zip(excerpts.tokens[:count], excerpts.activations[:count], strict=True))
