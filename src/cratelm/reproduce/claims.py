"""What of the paper's claim holds: each claim is a difference over training seeds, judged by one rule.

The rule uses p-values that are corrected for their number: Holm's for the primary claims, Benjamini and Hochberg's for
all others of the table. A claim *holds* where the corrected p-value is below 0.05 and the difference is on the claim's
side; its *opposite holds* where the difference is on the other side. Otherwise the difference is *absent* where its 95%
interval lies within MARGIN of zero, and *undecided* where it does not. One seed gives a sign and no verdict.
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
from cratelm.reproduce.numerals import TEXT
from cratelm.reproduce.published import as_printed
from cratelm.reproduce.tables import PRIMARY, Table, pairs
from cratelm.reproduce.units import paired_matched
from cratelm.stats import benjamini_hochberg, holm

PRIMARY_MARK = " (primary)"
SAE = "gpt2+sae16x"
"""The paper's autoencoders on GPT-2."""
METRICS = ("random-only", "top-and-random", "anthropic")
"""The primary one first."""
LEVEL = 0.05
MARGIN = 0.02
"""A difference in mean score that is too small to matter."""


@dataclass(frozen=True)
class Claim:
    """That CRATE is higher, or lower, in a number than GPT-2 or than the latents of autoencoders on it."""

    text: str
    compare: Callable[[Sequence[Result], Sequence[Result]], Found]
    higher: bool = True
    printed: Callable[[str], float] | None = None
    """The paper's own difference at a size, such as 2L."""
    digits: int = 3
    margin: float | None = MARGIN
    """How near to zero the whole interval has to be for the difference to be absent; None where nothing was named."""
    primary: bool = False


def claims(fitted: Sequence[str]) -> list[Claim]:
    """The paper's own, and what it says of autoencoders, for each dictionary that was fitted."""
    found = [
        Claim(
            f"higher {metric}{of}",
            _of(number("table", metric)),
            printed=_mean(metric),
            primary=of == PRIMARY_MARK,
        )
        for number, ofs in ((score, (PRIMARY_MARK, "", "")), (paper_score, (", by the paper's protocol",) * 3))
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
        Claim(
            f"lower variance over layers, {metric}",
            _of(variance(metric)),
            False,
            _variance(metric),
            digits=5,
            margin=None,
        )
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
    asked = claims(dictionaries(results.cells))
    found = [[claim.compare(*cells) for _, _, cells in columns] for claim in asked]
    rows = [
        [claim.text, *(_judged(claim, one, p) for one, p in zip(row, ps, strict=True)), _signs(claim, results.sizes)]
        for claim, row, ps in zip(asked, found, corrected(asked, found), strict=True)
    ]
    head = [
        "CRATE has",
        *(f"{corpus}, L = {layers}" for corpus, layers, _ in columns),
        f"the paper at L = {', '.join(map(str, results.sizes))}",
    ]
    return head, rows if columns else []


def corrected(asked: Sequence[Claim], found: Sequence[Sequence[Found]]) -> list[list[float]]:
    """The p-value of each claim at each corpus and size, corrected for their number; NaN where there is none."""
    p_values = [[one.p for one in row] for row in found]
    for primary, correct in ((True, holm), (False, benjamini_hochberg)):
        places = [
            (row, column)
            for row, claim in enumerate(asked)
            for column, one in enumerate(found[row])
            if claim.primary == primary and math.isfinite(one.p)
        ]
        for (row, column), p in zip(places, correct([p_values[r][c] for r, c in places]), strict=True):
            p_values[row][column] = p
    return p_values


def verdict(claim: Claim, found: Found, p: float) -> str:
    """By the rule above; `p` is corrected."""
    if not math.isfinite(found.mean):
        return "not comparable"
    agrees = (found.mean > 0) == claim.higher
    if found.seeds == 1:
        return "as claimed" if agrees else "against it"
    if p < LEVEL:
        return "**holds**" if agrees else "**the opposite holds**"
    within = claim.margin is not None and max(abs(found.low), abs(found.high)) <= claim.margin
    return "absent" if within else "undecided"


def _judged(claim: Claim, found: Found, p: float) -> str:
    if not math.isfinite(found.mean):
        return "–"
    value, low, high = (f"{number:+.{claim.digits}f}" for number in found[:3])
    spread = "one seed" if found.seeds == 1 else f"[{low}, {high}]{TEXT * found.of_text}, {found.seeds} seeds"
    return f"{verdict(claim, found, p)}: {value} ({spread})"


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
    return lambda one, other: paired_between(one, score("table", metric), other, latents(dictionary, metric))


def _mean(metric: str, rival: str = "gpt2") -> Callable[[str], float]:
    return lambda size: as_printed(metric, "crate", size)[0] - as_printed(metric, rival, size)[0]


def _variance(metric: str) -> Callable[[str], float]:
    return lambda size: as_printed(metric, "crate", size)[1] - as_printed(metric, "gpt2", size)[1]
