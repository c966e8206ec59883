"""How much of the units an explanation holds: a short one, one that sees context, and the longest that could be."""

from collections.abc import Sequence

from cratelm.report.rows import CEILING
from cratelm.reproduce.gather import Number, Result, Results, mean, paired, score, statistic
from cratelm.reproduce.matrix import EXPLAINERS, PAIR
from cratelm.reproduce.numerals import decimal, with_interval
from cratelm.reproduce.tables import Table, pairs

NUMBERS: dict[str, Number] = {
    **{explainer: score(explainer, "random-only") for explainer in (*EXPLAINERS, CEILING)},
    "token share": statistic("token_share"),
}


def by_explainer(results: Results) -> Table:
    """Random-only by each explainer, beside the token share: each model, and CRATE minus GPT-2."""
    rows = []
    for corpus, layers, cells in pairs(results):
        named = [corpus, str(layers)]
        rows += [[*named, model, *_row(of)] for model, of in zip(PAIR, cells, strict=True)]
        less = [with_interval(paired(*cells, number)) for number in NUMBERS.values()]
        rows.append([*named, "crate minus gpt2", *less])
    return ["corpus", "L", "model", *NUMBERS], rows


def _row(cells: Sequence[Result]) -> list[str]:
    return [decimal(mean(cells, number)) for number in NUMBERS.values()]
