"""What of the paper's claim holds: each claim is a difference over training seeds, judged by one rule.

The rule uses p-values that are corrected for their number: Holm's for the primary claims, Benjamini and Hochberg's for
all others of the table. A claim *holds* where the corrected p-value is below 0.05 and the difference is on the claim's
side; its *opposite holds* where the difference is on the other side. Otherwise the difference is *absent* where its 95%
interval lies within MARGIN of zero, and *undecided* where it does not. One seed gives a sign and no verdict.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

from cratelm.protocols import ENDPOINT, PAPER_METRICS
from cratelm.reproduce.matching import BOTH, paired_matched
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.published import SIGNS, as_printed
from cratelm.reproduce.results import (
    ENDPOINT_SCORE,
    TEXT,
    Difference,
    Number,
    Results,
    Table,
    above_control,
    dictionaries,
    latents,
    own_score,
    paired,
    paired_at_loss,
    paired_between,
    pairs,
    paper_score,
    score,
    variance,
)
from cratelm.reproduce.store import Result
from cratelm.stats import benjamini_hochberg, holm

SAE = "gpt2+sae16x"
"""The paper's autoencoders on GPT-2."""
METRICS = (ENDPOINT.metric, *(metric for metric in PAPER_METRICS if metric != ENDPOINT.metric))
"""The primary one first."""
SIGNIFICANCE = 0.05
MARGIN = 0.02
"""A difference in mean score that is too small to matter."""


@dataclass(frozen=True)
class Claim:
    """That CRATE is higher, or lower, in a number than GPT-2 or than the latents of autoencoders on it."""

    text: str
    compare: Callable[[Sequence[Result], Sequence[Result]], Difference]
    higher: bool = True
    printed: Callable[[str], float] | None = None
    """The paper's own difference at a size, such as 2L."""
    digits: int = 3
    margin: float | None = MARGIN
    """How near to zero the whole interval has to be for the difference to be absent; None where nothing was named."""
    primary: bool = False

    @property
    def title(self) -> str:
        """As the table names it."""
        return f"{self.text} (primary)" if self.primary else self.text


def claims(fitted: Sequence[str]) -> list[Claim]:
    """The paper's own, and what it says of autoencoders, for each dictionary that was fitted."""
    every_claim = [
        Claim(f"higher {metric}", _of(own_score(metric)), printed=_mean(metric), primary=metric == ENDPOINT.metric)
        for metric in METRICS
    ]
    every_claim += [
        Claim(
            f"higher {metric}, by the paper's protocol",
            _of(paper_score(ENDPOINT.explainer, metric)),
            printed=_mean(metric),
        )
        for metric in METRICS
    ]
    every_claim.append(Claim("higher random-only at equal loss", _at_loss(ENDPOINT_SCORE)))
    every_claim.append(Claim("higher random-only at equal token share", _alike(ENDPOINT.metric, ["token_share"])))
    every_claim += [
        Claim(f"higher {metric} at equal token share and firing rate", _alike(metric, BOTH)) for metric in METRICS
    ]
    every_claim += [
        Claim(f"units that fire more {how} ({metric}{above})", _of(number_of(ENDPOINT.explainer, metric)))
        for how, metric in (("consistently", "consistency"), ("distinctively", "specificity"))
        for above, number_of in (("", score), (", above its control", above_control))
    ]
    every_claim += [
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
        every_claim += [
            Claim(f"{side} {metric} than GPT-2's latents, {name}", _over(name, metric), higher, _mean(metric, SAE))
            for side, higher, metric in (("higher", True, ENDPOINT.metric), ("lower", False, "anthropic"))
        ]
    return every_claim


def judged(results: Results) -> Table:
    """A row a claim: what was found at each corpus and size, and the signs of the paper's own numbers."""
    columns = pairs(results)
    asked = claims(dictionaries(results.cells))
    differences = [[claim.compare(*cells) for _, _, cells in columns] for claim in asked]
    rows = [
        [claim.title, *map(_judged, repeat(claim), row, p_values), _signs(claim, results.sizes)]
        for claim, row, p_values in zip(asked, differences, corrected(asked, differences), strict=True)
    ]
    head = [
        "CRATE has",
        *(f"{corpus}, L = {layers}" for corpus, layers, _ in columns),
        f"the paper at L = {', '.join(map(str, results.sizes))}",
    ]
    return head, rows if columns else []


def corrected(asked: Sequence[Claim], differences: Sequence[Sequence[Difference]]) -> list[list[float]]:
    """The p-value of each claim at each corpus and size, corrected for their number; NaN where there is none."""
    p_values = [[difference.p for difference in row] for row in differences]
    # One seed has no p-value, and does not count among the tests that are corrected for.
    for primary, correct in ((True, holm), (False, benjamini_hochberg)):
        places = [
            (row, column)
            for row, claim in enumerate(asked)
            for column, difference in enumerate(differences[row])
            if claim.primary == primary and math.isfinite(difference.p)
        ]
        for (row, column), p in zip(places, correct([p_values[r][c] for r, c in places]), strict=True):
            p_values[row][column] = p
    return p_values


def verdict(claim: Claim, difference: Difference, p: float) -> str:
    """By the rule above; `p` is corrected."""
    if not math.isfinite(difference.mean):
        return "not comparable"
    agrees = (difference.mean > 0) == claim.higher
    if difference.seeds == 1:
        return "as claimed" if agrees else "against it"
    if p < SIGNIFICANCE:
        return "**holds**" if agrees else "**the opposite holds**"
    within = claim.margin is not None and max(abs(difference.low), abs(difference.high)) <= claim.margin
    return "absent" if within else "undecided"


def _judged(claim: Claim, difference: Difference, p: float) -> str:
    if not math.isfinite(difference.mean):
        return "–"
    value, low, high = (f"{number:+.{claim.digits}f}" for number in difference[:3])
    if difference.seeds == 1:
        spread = "one seed"
    else:
        spread = f"[{low}, {high}]{TEXT * difference.of_text}, {difference.seeds} seeds"
    return f"{verdict(claim, difference, p)}: {value} ({spread})"


def _signs(claim: Claim, sizes: Sequence[int]) -> str:
    if claim.printed is None:
        return "–"
    differences = [claim.printed(f"{layers}L") for layers in sizes]
    return " ".join(map(_sign, differences))


def _sign(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    return "0" if value == 0 else "+" if value > 0 else "−"


def _of(number: Number) -> Callable[[Sequence[Result], Sequence[Result]], Difference]:
    return lambda first, second: paired(first, second, number)


def _at_loss(number: Number) -> Callable[[Sequence[Result], Sequence[Result]], Difference]:
    return lambda first, second: paired_at_loss(first, second, number)


def _alike(metric: str, by: Sequence[str]) -> Callable[[Sequence[Result], Sequence[Result]], Difference]:
    """Of units in the same bins."""
    return lambda first, second: paired_matched(first, second, metric, by)[0]


def _over(dictionary: str, metric: str) -> Callable[[Sequence[Result], Sequence[Result]], Difference]:
    """A model's own units against the latents of the dictionary on the other."""
    return lambda first, second: paired_between(first, own_score(metric), second, latents(dictionary, metric))


def _mean(metric: str, rival: str = "gpt2") -> Callable[[str], float]:
    return lambda size: as_printed(metric, "crate", size)[0] - as_printed(metric, rival, size)[0]


def _variance(metric: str) -> Callable[[str], float]:
    return lambda size: as_printed(metric, "crate", size)[1] - as_printed(metric, "gpt2", size)[1]


VERDICTS = Comparison(
    name="verdicts",
    order=20,
    title=f"What of the claim holds ({SIGNS})",
    table=judged,
    text="""A claim **holds** where its corrected p-value is below 0.05 and the difference is on the claim's side; its
**opposite holds** where the difference is on the other side. P-values of the primary claims are corrected by Holm, all
others of this table by Benjamini and Hochberg. Otherwise a difference in score is *absent* where its interval lies
within 0.02 of zero, and *undecided* where it does not. One seed has a sign (*as claimed*, *against it*) and no
verdict. The last column has the signs of the paper's own numbers.""",
)
