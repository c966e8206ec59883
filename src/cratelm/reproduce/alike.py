"""The lead between units that are alike: in how much depends on their token, in how often they fire, in both."""

from collections.abc import Sequence
from itertools import product

from cratelm.reproduce.gather import Result, Results, of_scored, paired
from cratelm.reproduce.numerals import decimal, with_interval
from cratelm.reproduce.tables import Table, pairs
from cratelm.reproduce.units import paired_matched, with_units
from cratelm.score.config import CORRELATIONS

BOTH = ("token_share", "firing_rate")
BY = {"firing rate": ("firing_rate",), "token share": ("token_share",), "both": BOTH}
"""In what units are compared with units that are alike."""
HEAD = ["all units scored", *(text for name in BY for text in (f"of equal {name}", "matched"))]


def by_metric(results: Results) -> Table:
    """CRATE minus GPT-2 by each metric: all units that could be scored, and within bins of what may explain it."""
    rows = [
        [corpus, str(layers), metric, *_less(*cells, metric)]
        for corpus, layers, cells in pairs(results)
        for metric in CORRELATIONS
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


def _less(one: Sequence[Result], other: Sequence[Result], metric: str) -> list[str]:
    """A difference and, of each kind, a difference and the share of units that it is of."""
    one, other = with_units(one), with_units(other)
    found = [paired_matched(one, other, metric, by) for by in BY.values()]
    shown = [text for difference, share in found for text in (with_interval(difference), decimal(share, 2))]
    return [with_interval(paired(one, other, of_scored("table", metric))), *shown]


def _any(row: Sequence[str]) -> bool:
    """Whether units were matched at all."""
    return any(text != "–" for text in row[4:])
