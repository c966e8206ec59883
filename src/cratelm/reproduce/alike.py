"""The lead between units that are alike: in how much depends on their token, in how often they fire, in both."""

from collections.abc import Sequence
from itertools import product

from cratelm.reproduce.gather import Result, Results, mean, of_scored, paired, score, statistic
from cratelm.reproduce.numerals import decimal, with_interval
from cratelm.reproduce.tables import Table, pairs
from cratelm.reproduce.units import comparable, of_layer, paired_adjusted, paired_matched
from cratelm.score.registry import HEADLINE_METRICS

BOTH = ("token_share", "firing_rate")
BY = {"firing rate": ("firing_rate",), "token share": ("token_share",), "both": BOTH}
"""In what units are compared with units that are alike."""
HEAD = ["all units scored", *(text for name in BY for text in (f"of equal {name}", "matched", "by regression"))]


def by_metric(results: Results) -> Table:
    """CRATE minus GPT-2 by each metric: all units that could be scored, and within bins of what may explain it."""
    rows = [
        [corpus, str(layers), metric, *_less(*cells, metric)]
        for corpus, layers, cells in pairs(results)
        for metric in HEADLINE_METRICS
    ]
    return ["corpus", "L", "metric", *HEAD], [row for row in rows if _any(row)]


def by_model(results: Results) -> Table:
    """The same of every model minus GPT-2, in random-only."""
    rows = []
    for corpus, layers, model in product(results.values("corpus"), results.sizes, results.values("model")):
        at = {"corpus": corpus, "layers": layers, "tokenizer": results.tokenizer}
        pair = results.of(model=model, **at), results.of(model="gpt2", **at)
        if model != "gpt2":
            rows.append([corpus, str(layers), model, *_less(*pair, "random-only")])
    return ["corpus", "L", "model", *HEAD], [row for row in rows if _any(row)]


def by_layer(results: Results) -> Table:
    """CRATE's layers minus GPT-2's, of equal token share, in random-only: in which layers the lead lies."""
    rows = []
    deepest = max((layers for _, layers, _ in pairs(results)), default=1)
    for corpus, layers, (crate, gpt2) in pairs(results):
        for layer in (*range(layers), "all") if layers > 1 else ():
            numbers = (score("table", "random-only", layer), *(statistic(name, layer) for name in BOTH))
            shown = [decimal(mean(gpt2, number)) for number in numbers]
            theirs = of_layer(gpt2, layer)
            found = [
                paired_matched(of_layer(crate, at), theirs, "random-only", BOTH[:1]) for at in (*range(layers), "all")
            ]
            less = [with_interval(difference) for difference, _ in found]
            less[-1:-1] = ["–"] * (deepest - layers)
            rows.append([corpus, str(layers), str(layer), *shown, *less, decimal(found[-1][1], 2)])
    heads = ["random-only", "token share", "firing rate", *(f"CRATE's layer {at}" for at in range(deepest))]
    return ["corpus", "L", "GPT-2's layer", *heads, "all of CRATE's", "matched"], [row for row in rows if _any(row[2:])]


def _less(one: Sequence[Result], other: Sequence[Result], metric: str) -> list[str]:
    """A difference and, of each kind, one within bins, the share of units that it is of, and one by regression."""
    one, other = comparable(one, other)
    shown = []
    for by in BY.values():
        difference, share = paired_matched(one, other, metric, by)
        shown += [with_interval(difference), decimal(share, 2)]
        shown += [with_interval(paired_adjusted(one, other, metric, by))]
    return [with_interval(paired(one, other, of_scored("table", metric))), *shown]


def _any(row: Sequence[str]) -> bool:
    """Whether units were matched at all."""
    return any(text != "–" for text in row[4:])
