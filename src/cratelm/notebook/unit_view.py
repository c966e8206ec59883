"""One unit: what it fires on, its explanations and their scores, what it writes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cratelm.notebook.charts import dot, histogram
from cratelm.notebook.markup import box, facts, heat, marked, number, percent, scale, short, table, term, text
from cratelm.records.logits import SIDES

SHOWN = 3
"""Excerpts of a kind."""
TOKENS = 8
"""Next tokens each way."""


class Shown(Protocol):
    """An excerpt, as the view takes it."""

    @property
    def half(self) -> str:
        """Of the text."""
        ...

    @property
    def kind(self) -> str:
        """Why it was kept."""
        ...

    @property
    def document(self) -> int:
        """Its number in its half."""
        ...

    @property
    def tokens(self) -> list[str]:
        """(T,)."""
        ...

    @property
    def activations(self) -> np.ndarray:
        """(T,)."""
        ...

    @property
    def expected(self) -> dict[str, np.ndarray]:
        """By explainer, (T,) each."""
        ...


def unit_view(known: Mapping[str, Any], excerpts: Sequence[Shown], halves: Sequence[str]) -> str:
    """HTML of what is known of a unit (`read_unit` with its `address`), and of its excerpts.

    The half that explanations are scored on is shown, its top excerpts open and the other kinds folded.
    """
    left = _explanations(known["explanations"]) + _excerpts(excerpts, halves[-1])
    right = _scores(known["scores"]) + _facts(known, halves[-1]) + _written(known["logits"])
    title = f"<h1>{text(known['address'])} <span>{text(known['site'])}</span></h1>"
    return box(f"Unit {known['address']}", title, f'<div class="columns"><div>{left}</div><aside>{right}</aside></div>')


def _explanations(said: Mapping[str, str | None]) -> str:
    lines = "".join(f"<p><b>{text(name)}</b> {text(sentence)}</p>" for name, sentence in said.items() if sentence)
    return f'<section class="explanations">{lines}</section>' if lines else ""


def _excerpts(excerpts: Sequence[Shown], half: str) -> str:
    mine = [excerpt for excerpt in excerpts if excerpt.half == half]
    if not mine:
        return f'<p class="faint">No excerpts of the {text(half)} half: it never fires there, or is not finite.</p>'
    highest = max(float(excerpt.activations.max()) for excerpt in mine)
    by = next(iter(mine[0].expected), None)
    most = None if by is None else max(float(one.expected[by].max()) for one in mine if by in one.expected)
    kinds = dict.fromkeys((excerpt.kind, len(excerpt.tokens)) for excerpt in mine)
    parts = [
        _kind(
            kind,
            length,
            [one for one in mine if (one.kind, len(one.tokens)) == (kind, length)],
            highest,
            by,
            most,
            not at,
        )
        for at, (kind, length) in enumerate(sorted(kinds, key=lambda kind: (kind[0] != "top", -kind[1])))
    ]
    said = "" if by is None else f" <small>expected by {text(by)}</small>"
    title = f"<h2>Excerpts <small>{text(half)} half</small>{said}</h2>"
    return f"<section>{title}{scale(highest, most)}{''.join(parts)}</section>"


def _kind(
    kind: str, length: int, excerpts: Sequence[Shown], highest: float, by: str | None, most: float | None, first: bool
) -> str:
    """A kind's excerpts, which fold; the first kind is open."""
    rows = "".join(_row(excerpt, highest, by, most) for excerpt in excerpts[:SHOWN])
    opened = " open" if first else ""
    return (
        f"<details{opened}><summary>{text(kind)}, {length} tokens: {min(SHOWN, len(excerpts))} of {len(excerpts)}"
        f"</summary>{rows}</details>"
    )


def _row(excerpt: Shown, highest: float, by: str | None, most: float | None) -> str:
    expected = excerpt.expected.get(by) if by is not None else None
    below = None if expected is None else expected.tolist()
    meta = (
        f'<span>max {short(float(excerpt.activations.max()))}</span><span class="faint">doc {excerpt.document}</span>'
    )
    shown = heat(excerpt.tokens, excerpt.activations.tolist(), highest, below, most or 0)
    return f'<article class="excerpt"><p class="meta">{meta}</p>{shown}</article>'


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    if not scores:
        return ""
    rows = [
        [
            term(row["metric"]),
            term(row["explainer"]),
            number(row["score"]) if row["status"] in (None, "scored") else f"<em>{term(row['status'])}</em>",
            dot(row["score"], row["low"], row["high"]),
        ]
        for row in sorted(scores, key=lambda row: row["metric"])
    ]
    shown = table("by metric and explainer", ("metric", "explainer", "score", ""), rows, frozenset({2}))
    return f'<section class="scores"><h2>Scores</h2>{shown}</section>'


def _facts(known: Mapping[str, Any], half: str) -> str:
    at = known["statistics"][half]
    bars = (
        histogram(at["histogram"], "tokens by activation, root scale", short(at["maximum"])) if at["histogram"] else ""
    )
    said = {
        term("fires on", "fires"): f"{percent(at['firing_rate'])} of tokens",
        f"mean, {term('maximum', 'max')}": f"{short(at['mean'])}, {short(at['maximum'])}",
        term("token share"): number(at["token_share"], 2),
        term("position share"): number(at["position_share"], 2),
    }
    return f"<section><h2>Activations <small>{text(half)} half</small></h2>{bars}{facts(said)}</section>"


def _written(logits: Mapping[str, Any] | None) -> str:
    if not logits:
        return ""
    lists = "".join(
        _tokens(name, logits[side], logits[f"{side}_by"])
        for name, side in zip(("raises", "lowers"), SIDES, strict=True)
    )
    return f'<section><h2>Next tokens <small>by its weights</small></h2><div class="two">{lists}</div></section>'


def _tokens(name: str, tokens: Sequence[str], by: Sequence[float]) -> str:
    rows = "".join(
        f"<li><b>{marked(token)}</b><span>{short(effect)}</span></li>"
        for token, effect in list(zip(tokens, by, strict=True))[:TOKENS]
    )
    return f'<ol class="written" aria-label="{name} tokens"><li class="faint">{name}</li>{rows}</ol>'
