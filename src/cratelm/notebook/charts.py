"""Small figures in SVG, as the viewer draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cratelm.notebook.markup import number, text

COLOURS = 6
"""Of the viewer's style sheet: --c0 to --c5."""


@dataclass(frozen=True)
class Curve:
    """A model's mean scores by layer."""

    name: str
    colour: int
    dashed: bool
    points: Sequence[Mapping[str, Any]]
    """`mean`, `low` and `high` of each layer."""


def curves(title: str, layers: int, drawn: Sequence[Curve]) -> str:
    """Mean scores by layer with their 95% intervals, from 0 to 1."""
    ticks = "".join(
        f'<g><line class="grid" x1="28" x2="296" y1="{_y(tick):.1f}" y2="{_y(tick):.1f}"/>'
        f'<text x="24" y="{_y(tick) + 3:.1f}" text-anchor="end">{tick:g}</text></g>'
        for tick in np.linspace(0, 1, 5)
    )
    names = "".join(
        f'<text x="{_x(layer, layers):.1f}" y="148" text-anchor="middle">{layer}</text>' for layer in range(layers)
    )
    return (
        f'<figure class="curves"><figcaption>{text(title)}</figcaption><svg viewBox="0 0 300 152" role="img" '
        f'aria-label="{text(title)}: mean score by layer">{ticks}{names}'
        f"{''.join(_curve(curve, layers) for curve in drawn)}</svg></figure>"
    )


def _curve(curve: Curve, layers: int) -> str:
    places = " ".join(f"{_x(at, layers):.1f},{_y(point['mean']):.1f}" for at, point in enumerate(curve.points))
    points = "".join(_point(curve.name, at, _x(at, layers), point) for at, point in enumerate(curve.points))
    kind = ' class="dashed"' if curve.dashed else ""
    return f'<g{kind} style="color:var(--c{curve.colour % COLOURS})"><polyline points="{places}"/>{points}</g>'


def _point(name: str, layer: int, x: float, point: Mapping[str, Any]) -> str:
    mean, low, high = (point[key] for key in ("mean", "low", "high"))
    said = f"{text(name)}, layer {layer}: {number(mean)} [{number(low)}, {number(high)}]"
    return (
        f'<g><line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(low):.1f}" y2="{_y(high):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{_y(mean):.1f}" r="3"><title>{said}</title></circle></g>'
    )


def _x(layer: int, layers: int) -> float:
    return 34 + (layer * 250 / (layers - 1) if layers > 1 else 125)


def _y(value: float) -> float:
    return 132 - 120 * min(max(value, 0.0), 1.0)


def dot(score: float | None, low: float | None, high: float | None) -> str:
    """A score from 0 to 1 as a mark on its interval; what it shows stands next to it as a number."""
    if score is None:
        return '<svg class="dot" aria-hidden="true"></svg>'
    x, ends = _across(score), None if low is None or high is None else (_across(low), _across(high))
    interval = "" if ends is None else f'<line class="interval" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="6" y2="6"/>'
    return (
        '<svg class="dot" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<line class="grid" x1="2" x2="98" y1="6" y2="6"/>{interval}'
        f'<rect x="{x - 1:.1f}" y="1" width="2" height="10"/></svg>'
    )


def _across(value: float) -> float:
    return 2 + 96 * min(max(value, 0.0), 1.0)


def histogram(counts: Sequence[int], label: str, to: str) -> str:
    """Tokens by activation, on the scale of square roots, so that a rare strength is visible next to a common one."""
    highest = max(*counts, 1)
    heights = [58 * (count / highest) ** 0.5 for count in counts]
    bars = "".join(
        f'<rect x="{6 * at + 0.5}" y="{60 - height:.1f}" width="5" height="{height:.1f}"><title>{count}</title></rect>'
        for at, (count, height) in enumerate(zip(counts, heights, strict=True))
    )
    return (
        f'<figure class="histogram"><svg viewBox="0 0 {6 * len(counts)} 60" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}">{bars}</svg>'
        f"<figcaption><span>0</span><span>{text(label)}</span><span>{to}</span></figcaption></figure>"
    )
