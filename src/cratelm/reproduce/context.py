"""Is CRATE easier to explain because it is white-box, or because it uses context less? What the other designs say.

A token share is the share of a unit's variance that its current token accounts for (docs/scoring.md). If a design's
score follows from its token share alone, whatever the design, then CRATE's lead is the lead that its share would give.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from cratelm.protocols import ENDPOINT, PAPER_METRICS
from cratelm.report.figures import LOOKS, new_figure, reach, svg
from cratelm.report.labels import label_points
from cratelm.report.measured import Estimate
from cratelm.reproduce.matching import paired_matched
from cratelm.reproduce.matrix import ABLATIONS, DESIGNS_AT, PAIR, RIVAL, WINDOWS, windowed
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.results import (
    ENDPOINT_NAME,
    ENDPOINT_SCORE,
    LESS,
    Number,
    Results,
    Table,
    decimal,
    estimate,
    keyed,
    loss,
    mean,
    of_scored,
    over_seeds,
    own_score,
    paired,
    statistic,
    with_interval,
)
from cratelm.reproduce.store import ALL, Result

NEEDED = 5
"""Designs besides the two, below which nothing is fitted."""


@dataclass(frozen=True)
class Design:
    """A design at DESIGNS_AT layers, mean over layers and seeds."""

    model: str
    loss: float
    token_share: float
    score: float
    """Random-only, of the units that could be scored: the others have no token share."""


def designs(results: Results) -> list[Design]:
    """All that were run."""
    every_design = []
    for model in results.values("model"):
        cells = results.main(layers=DESIGNS_AT, model=model)
        if cells:
            numbers = (loss, statistic("token_share"), of_scored(*ENDPOINT))
            every_design.append(Design(model, *(mean(cells, number) for number in numbers)))
    return every_design


def on_token_share(every_design: Sequence[Design]) -> str:
    """What of CRATE's lead over GPT-2 the other designs' token shares account for, in words; the pair's windowed forms,
    made to differ in token share, are not among them."""
    pair = {design.model: design for design in every_design if design.model in PAIR}
    kept = {windowed(model, window) for model in PAIR for window in (None, *WINDOWS)}
    others = [design for design in every_design if design.model not in kept]
    if len(others) < NEEDED or len(pair) < len(PAIR):
        return f"It takes {NEEDED} designs besides the pair to say more; {len(others)} have been run."
    shares, losses, scores = (
        np.array([getattr(design, name) for design in others]) for name in ("token_share", "loss", "score")
    )
    slope = float(np.polyfit(shares, scores, 1)[0])
    with_share, with_loss = (spearmanr(numbers, scores).statistic for numbers in (shares, losses))
    lead, more = (getattr(pair["crate"], name) - getattr(pair["gpt2"], name) for name in ("score", "token_share"))
    return f"""Among the {len(others)} designs at L = {DESIGNS_AT} other than CRATE and GPT-2, the random-only score (of
the units that could be scored) goes with the token share by a rank correlation of {with_share:+.2f}, and with the
validation loss by {with_loss:+.2f}. A straight line through them has {slope:+.3f} of score for 1 of token share. CRATE
leads GPT-2 by {lead:+.3f} in score and by {more:+.3f} in token share: by that line the share is worth
{slope * more:+.3f}, and {lead - slope * more:+.3f} is left for whatever else CRATE is. So few designs bear no interval,
and going together is not causing."""


SCORES: dict[str, Number] = {
    ENDPOINT.metric: ENDPOINT_SCORE,
    **{metric: own_score(metric) for metric in PAPER_METRICS if metric != ENDPOINT.metric},
}
"""The primary one first."""
NUMBERS: dict[str, Number] = {"token share": statistic("token_share"), **SCORES}
HEAD = ["model", "nats a token", "seeds", *NUMBERS, "of units at equal token share", "matched"]
WHOLE = "all before"


def by_window(results: Results) -> Table:
    """By how many tokens a layer attends to, each model, and CRATE minus GPT-2, paired by seed."""
    rows = []
    for corpus in results.values("corpus"):
        cut = [
            [corpus, str(window), *row]
            for window in WINDOWS
            for row in _compared(*(_cells(results, model=windowed(model, window), corpus=corpus) for model in PAIR))
        ]
        whole = [
            [corpus, WHOLE, *row] for row in _compared(*(_cells(results, model=model, corpus=corpus) for model in PAIR))
        ]
        rows += [*cut, *whole] if cut else []
    return ["corpus", "a layer attends to", *HEAD], rows


def by_tokens(results: Results) -> Table:
    """The same by how many tokens the pair was trained on."""
    trained = {group: [_cells(results, model=model, group=group) for model in PAIR] for group in ("sizes", "longer")}
    rows = [[f"{pair[0][0]['cell']['tokens']:,}", *row] for pair in trained.values() for row in _compared(*pair)]
    return ["tokens of training", *HEAD], rows if all(trained["longer"]) else []


def worth(results: Results) -> Table:
    """By model: the loss at each window less the loss where all before is attended to, paired by seed."""
    rows = []
    for corpus, model in product(results.values("corpus"), PAIR):
        short = [_cells(results, model=windowed(model, window), corpus=corpus) for window in WINDOWS]
        whole = _cells(results, model=model, corpus=corpus)
        rows.append([corpus, model, *(with_interval(paired(cells, whole, loss)) for cells in short)])
    cut, whole = (_cells(results, model=model, group="longer") for model in (windowed("crate", 1), "crate"))
    rows.append([results.corpus, "crate, trained for longer", with_interval(paired(cut, whole, loss)), "–"])
    rows = [row for row in rows if row[2] != "–"]
    return ["corpus", "model", *(f"{window} token{'s' * (window > 1)} minus all before" for window in WINDOWS)], rows


def _cells(results: Results, **wanted: Any) -> list[Result]:
    given = {"corpus": results.corpus, "tokenizer": results.tokenizer, "layers": DESIGNS_AT}
    return results.of(**given | wanted)


def _compared(crate: Sequence[Result], gpt2: Sequence[Result]) -> list[list[str]]:
    """A row each, and CRATE minus GPT-2: over all units, and between units at equal token share."""
    if not (crate and gpt2):
        return []
    rows = [[model, *_row(cells), "", ""] for model, cells in zip(PAIR, (crate, gpt2), strict=True)]
    more_loss, *less = (with_interval(paired(crate, gpt2, number)) for number in (loss, *NUMBERS.values()))
    alike, share = paired_matched(crate, gpt2, ENDPOINT.metric, ["token_share"])
    return [*rows, [LESS, more_loss, "", *less, with_interval(alike), decimal(share, 2)]]


def _row(cells: Sequence[Result]) -> list[str]:
    return [*over_seeds(cells, loss), *(decimal(mean(cells, number)) for number in NUMBERS.values())]


def ablations(results: Results) -> Table:
    """Every design of a corpus, by its loss: what is paid, and what is got, also less what GPT-2 pays and gets."""
    corpora = dict.fromkeys((results.corpus, *(result["cell"]["corpus"] for result in results.of(group="ablations"))))
    rows = [row for corpus in corpora for row in _by_loss(results, corpus)]
    heads = [*SCORES, "token share", "dead", "nats minus gpt2's", f"{ENDPOINT.metric} minus gpt2's"]
    return ["corpus", "model", "nats a token", "seeds", *heads], rows


def _by_loss(results: Results, corpus: str) -> list[list[str]]:
    rows, gpt2 = [], _cells(results, corpus=corpus, model="gpt2")
    for model in dict.fromkeys((*PAIR, *ABLATIONS, *results.values("model"))):
        cells = _cells(results, corpus=corpus, model=model)
        if cells:
            dead = keyed("dead", ALL, *ENDPOINT)
            numbers = (*SCORES.values(), statistic("token_share"))
            shown = [decimal(mean(cells, number)) for number in numbers]
            less = [with_interval(paired(cells, gpt2, number)) for number in (loss, ENDPOINT_SCORE)]
            less = ["", ""] if model == "gpt2" else less
            rows.append([corpus, model, *over_seeds(cells, loss), *shown, decimal(mean(cells, dead)), *less])
    # By the loss: what stands behind it is its range over seeds.
    return sorted(rows, key=lambda row: float(row[2].split()[0]))


def on_the_edge(results: Results) -> list[str]:
    """The designs that no other one beats in both loss and the primary score."""
    points = _paid_and_got(results)
    return [
        model
        for model, (paid, got) in points.items()
        # A design does not beat itself.
        if not any(other != (paid, got) and other[0] <= paid and other[1] >= got for other in points.values())
    ]


def without_a_price(results: Results) -> list[str] | None:
    """The designs with no higher loss than GPT-2 and no lower primary score than CRATE; None without both."""
    points = _paid_and_got(results)
    if not set(PAIR) <= points.keys():
        return None
    return [model for model, (paid, got) in points.items() if paid <= points["gpt2"][0] and got >= points["crate"][1]]


def _paid_and_got(results: Results) -> dict[str, tuple[float, float]]:
    """The loss and the primary score of every design, mean over seeds."""
    points = {}
    for model in results.values("model"):
        cells = results.main(layers=DESIGNS_AT, model=model)
        if cells:
            points[model] = (mean(cells, loss), mean(cells, ENDPOINT_SCORE))
    return points


def draw_frontier(results: Results) -> str:
    """What is paid against what is got: the primary score and the token share over the loss, a point a design."""
    up = {ENDPOINT_NAME: ENDPOINT_SCORE, "token share": statistic("token_share")}
    return _named(results, ("validation loss, nats a token", loss), up)


def draw_context(results: Results) -> str:
    """The primary score and the validation loss over the token share, a point a design."""
    up = {"random-only of units scored": of_scored(*ENDPOINT), "validation loss, nats a token": loss}
    return _named(results, ("token share", statistic("token_share")), up)


def _named(results: Results, across: tuple[str, Number], up: Mapping[str, Number]) -> str:
    """A point a design, its name next to it, with 95% intervals over seeds: a panel each number of `up`."""
    cells = {model: results.main(layers=DESIGNS_AT, model=model) for model in results.values("model")}
    every_design = {model: of_model for model, of_model in cells.items() if of_model}
    figure, axes = new_figure(columns=1, rows=len(up), width=7.2, height=4.4)
    for (axis,), (label, number) in zip(axes, up.items(), strict=True):
        for model, of_model in every_design.items():
            _draw_design(axis, model, estimate(of_model, across[1]), estimate(of_model, number))
        axis.set(xlabel=across[0], ylabel=label)
        axis.margins(0.08, 0.16)  # room for names at the edges
    for (axis,), number in zip(axes, up.values(), strict=True):  # now that all panels have their sizes
        points = [(mean(of_model, across[1]), mean(of_model, number)) for of_model in every_design.values()]
        label_points(axis, points, [*every_design])
    return svg(figure)


def _draw_design(axis: Axes, model: str, x: Estimate, y: Estimate) -> None:
    """A point with its intervals, marked as the model is that the design is a variant of."""
    family = max(filter(model.startswith, (*PAIR, RIVAL)), key=len, default=RIVAL)
    colour, mark, _ = LOOKS[(*PAIR, RIVAL).index(family)]
    axis.errorbar(x.mean, y.mean, reach([y]), reach([x]), color=colour, marker=mark, elinewidth=0.6, alpha=0.8)


CONTEXT = Comparison(
    name="context",
    order=30,
    title="White-box, or less context?",
    text=lambda results: (
        f"""{on_token_share(designs(results))}

A unit that depends on the current token alone is the easiest to explain by a table of tokens. *Token share* is the
share of a unit's variance that its token accounts for (docs/scoring.md). How it differs by size, and at equal loss, is
in the two tables that follow. It is measured after training, so no comparison here identifies what causes a score."""
    ),
    figure=draw_context,
)
WINDOWED = Comparison(
    name="windows",
    order=120,
    title="Context taken away",
    table=by_window,
    text="""Both models trained and measured anew, each layer attending to so many tokens, itself the last. At 1 a unit
depends on its token and position alone, whatever the model; at 2, through two layers, on three tokens. As much of the
lead as is there at 1 is not due to context, since neither model has any. *Of units at equal token share*: random-only
within bins, as above.""",
)
LONGER = Comparison(
    name="longer",
    order=130,
    title="Trained for longer",
    table=by_tokens,
    text="The pair after more tokens of the same text.",
)
WORTH = Comparison(
    name="worth",
    order=140,
    title="What context is worth",
    table=worth,
    text="""What a model loses when it is trained with so short a window. Near 0 at 1 token: with all tokens before it,
it does no better than a model that knows its token alone.""",
)
DESIGNS = Comparison(
    name="frontier",
    order=150,
    title=f"Designs at L = {DESIGNS_AT}, by what they cost",
    table=ablations,
    text=lambda results: (
        f"""On `{results.corpus}`, no other design that was run has both a lower loss and a higher random-only score
than: {_names(on_the_edge(results))}. With no more loss than GPT-2 and no less of a score than CRATE:
{_names(without_a_price(results))}. Where several seeds were run, brackets hold the least and the greatest loss."""
    ),
    figure=draw_frontier,
)


def _names(models: Sequence[str] | None) -> str:
    if models is None:
        return "not known before both have been run"
    return ", ".join(f"`{model}`" for model in models) or "none"
