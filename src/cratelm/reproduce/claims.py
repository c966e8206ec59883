"""What of the paper's claim holds: each claim a difference over seeds, judged by one rule.

The rule: a claim *holds* where the 95% interval over training seeds lies wholly on its side of zero, its *opposite
holds* where it lies wholly on the other, and it is *open* otherwise. One seed gives a sign and no interval.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cratelm.reproduce.alike import BOTH
from cratelm.reproduce.gather import (
    Found,
    Number,
    Result,
    Results,
    above_control,
    dictionaries,
    latents,
    paired,
    paired_at_loss,
    paired_between,
    paper_score,
    score,
    variance,
)
from cratelm.reproduce.published import as_printed
from cratelm.reproduce.tables import PRIMARY, Table, pairs
from cratelm.reproduce.units import paired_matched

SAE = "gpt2+sae16x"
"""The paper's autoencoders on GPT-2."""
METRICS = ("random-only", "top-and-random", "anthropic")
"""The primary one first."""


@dataclass(frozen=True)
class Claim:
    """That CRATE is higher, or lower, in a number than GPT-2 or than the latents of autoencoders on it."""

    text: str
    compare: Callable[[Sequence[Result], Sequence[Result]], Found]
    higher: bool = True
    printed: Callable[[str], float] | None = None
    """The paper's own difference at a size, such as 2L."""
    digits: int = 3


def claims(fitted: Sequence[str]) -> list[Claim]:
    """The paper's own, and what it says of autoencoders, for each dictionary that was fitted."""
    found = [
        Claim(f"higher {metric}{of}", _of(number("table", metric)), printed=_mean(metric))
        for number, ofs in ((score, (" (primary)", "", "")), (paper_score, (", by the paper's protocol",) * 3))
        for metric, of in zip(METRICS, ofs, strict=True)
    ]
    found.append(Claim("higher random-only at equal loss", lambda one, other: paired_at_loss(one, other, PRIMARY)))
    found.append(Claim("higher random-only at equal token share", _alike("random-only", ["token_share"])))
    found += [
        Claim(f"higher {metric} at equal token share and firing rate", _alike(metric, BOTH)) for metric in METRICS
    ]
    found += [
        Claim(f"units that fire more {how} ({metric}{above})", _of(number("table", metric)))
        for how, metric in (("consistently", "consistency"), ("distinctively", "specificity"))
        for above, number in (("", score), (", above its control", above_control))
    ]
    found += [
        Claim(f"lower variance over layers, {metric}", _of(variance(metric)), False, _variance(metric), digits=5)
        for metric in METRICS
    ]
    for name in fitted:
        found += [
            Claim(f"{side} {metric} than GPT-2's latents, {name}", _over(name, metric), higher, _mean(metric, SAE))
            for side, higher, metric in (("higher", True, "random-only"), ("lower", False, "anthropic"))
        ]
    return found


def judged(results: Results) -> Table:
    """A row a claim: what was found at each corpus and size, and the signs of the paper's own numbers."""
    columns = pairs(results)
    rows = [
        [claim.text, *(_judged(claim, *cells) for _, _, cells in columns), _signs(claim, results.sizes)]
        for claim in claims(dictionaries(results.cells))
    ]
    head = [
        "CRATE has",
        *(f"{corpus}, L = {layers}" for corpus, layers, _ in columns),
        f"the paper at L = {', '.join(map(str, results.sizes))}",
    ]
    return head, rows if columns else []


def verdict(higher: bool, found: Found) -> str:
    """By the rule above."""
    value, low, high, seeds = found
    if not math.isfinite(value):
        return "not comparable"
    if value == 0 or (seeds > 1 and low <= 0 <= high):
        return "open"
    agrees = (value > 0) == higher
    if seeds == 1:
        return "as claimed" if agrees else "against it"
    return "**holds**" if agrees else "**the opposite holds**"


def _judged(claim: Claim, one: Sequence[Result], other: Sequence[Result]) -> str:
    found = claim.compare(one, other)
    value, low, high, seeds = found
    if not math.isfinite(value):
        return "–"
    value, low, high = (f"{number:+.{claim.digits}f}" for number in (value, low, high))
    spread = "one seed" if seeds == 1 else f"[{low}, {high}], {seeds} seeds"
    return f"{verdict(claim.higher, found)}: {value} ({spread})"


def _signs(claim: Claim, sizes: Sequence[int]) -> str:
    if claim.printed is None:
        return "–"
    found = [claim.printed(f"{layers}L") for layers in sizes]
    return " ".join(map(_sign, found))


def _sign(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    return "0" if value == 0 else "+" if value > 0 else "−"


def _of(number: Number) -> Callable[[Sequence[Result], Sequence[Result]], Found]:
    return lambda one, other: paired(one, other, number)


def _alike(metric: str, by: Sequence[str]) -> Callable[[Sequence[Result], Sequence[Result]], Found]:
    """Of units in the same bins."""
    return lambda one, other: paired_matched(one, other, metric, by)[0]


def _over(dictionary: str, metric: str) -> Callable[[Sequence[Result], Sequence[Result]], Found]:
    """A model's own units against the latents of the dictionary on the other."""
    number = score("table", metric)
    return lambda one, other: paired_between(one, number, other, latents(dictionary, number))


def _mean(metric: str, rival: str = "gpt2") -> Callable[[str], float]:
    return lambda size: as_printed(metric, "crate", size)[0] - as_printed(metric, rival, size)[0]


def _variance(metric: str) -> Callable[[str], float]:
    return lambda size: as_printed(metric, "crate", size)[1] - as_printed(metric, "gpt2", size)[1]
