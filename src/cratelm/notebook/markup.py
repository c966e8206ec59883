"""The pieces that the views are made of. All text of data passes through `text`, and numbers through `number`."""

import re
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from cratelm.notebook.style import style_sheet
from cratelm.report.glossary import glossary
from cratelm.report.text import visible

BYTES = re.compile(r"(<[0-9A-F]{2}>)+")
"""Pieces of text that are no whole characters."""


def text(data: str) -> str:
    """Text of data: escaped, with characters that cannot be seen as marks."""
    return escape(visible(data), quote=True)


def marked(token: str) -> str:
    """The same with blanks as marks too, for a token that stands alone."""
    return text(token[:200] + "…" if len(token) > 200 else token).replace(" ", "␣")


def term(shown: str, name: str | None = None) -> str:
    """A word that says on hover, and to a screen reader, what the glossary says of it; other words as they are."""
    known = glossary().get(name or shown)
    return text(shown) if known is None else f'<abbr tabindex="0" title="{text(known.says)}">{text(shown)}</abbr>'


def number(value: float | None, digits: int = 3) -> str:
    """A score; a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def short(value: float | None) -> str:
    """A number to three significant digits."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.3g}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share."""
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.3g}%"


def box(label: str, *parts: str) -> str:
    """A whole output: its style, and a region that a screen reader names."""
    return f'{style_sheet()}<section class="cratelm" aria-label="{text(label)}">{"".join(parts)}</section>'


def heat(
    tokens: Sequence[str],
    truth: Sequence[float],
    highest: float,
    expected: Sequence[float] | None = None,
    most: float = 0,
) -> str:
    """Tokens coloured by how strongly a unit fires; under each, what an explanation expects.

    Each token's numbers are its title, and the strongest one is in the label, for readers who see no colours.
    """
    peak = max(range(len(truth)), key=truth.__getitem__)
    label = f"{len(tokens)} tokens, highest activation {short(truth[peak])} on {marked(tokens[peak])}"
    below = [None] * len(tokens) if expected is None else list(expected)
    spans = [
        _token(token, value, _share(value, highest), said, _share(said or 0, most))
        for token, value, said in zip(tokens, truth, below, strict=True)
    ]
    return f'<div class="heat" role="group" aria-label="{label}">{"".join(spans)}</div>'


def _token(token: str, value: float, share: float, expected: float | None, share_expected: float) -> str:
    said = f"{marked(token)}  activation {short(value)}" + ("" if expected is None else f", expected {short(expected)}")
    kind = "t bytes" if BYTES.fullmatch(token) else "t"
    style = f"--a:{share:.3f};--s:{share_expected:.3f}"
    return f'<span class="{kind}" dir="auto" title="{said}" style="{style}">{text(token)}</span>'


def _share(value: float, highest: float) -> float:
    return min(max(value / highest, 0.0), 1.0) if highest > 0 and np.isfinite(value) else 0.0


def scale(highest: float, most: float | None) -> str:
    """What the colours mean."""
    below = "" if most is None else f'<span class="ramp below"></span>expected 0 to {short(most)}, under each token'
    return f'<p class="scale"><span class="ramp"></span>activation 0 to {short(highest)}{below}</p>'


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[int]) -> str:
    """A table of cells that are HTML already; the columns in `numbers` stand to the right."""
    head = "".join(f'<th scope="col"{_aligned(at, numbers)}>{name}</th>' for at, name in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{_aligned(at, numbers)}>{cell}</td>" for at, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _aligned(column: int, numbers: frozenset[int]) -> str:
    return ' class="n"' if column in numbers else ""


def facts(values: Mapping[str, str]) -> str:
    """Names and values that are HTML already."""
    return '<dl class="facts">' + "".join(f"<dt>{name}</dt><dd>{said}</dd>" for name, said in values.items()) + "</dl>"
