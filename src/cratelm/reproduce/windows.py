"""What CRATE's lead is owed to: the pair with its context taken away, and trained for longer, until it uses it."""

from collections.abc import Sequence
from itertools import product

from cratelm.reproduce.gather import Number, Result, Results, loss, mean, paired, score, statistic
from cratelm.reproduce.matrix import CORPORA, PAIR, WINDOWS, windowed
from cratelm.reproduce.numerals import decimal, over_seeds, with_interval
from cratelm.reproduce.tables import PRIMARY, Table
from cratelm.reproduce.units import paired_matched
from cratelm.score.registry import HEADLINE_METRICS

NUMBERS: dict[str, Number] = {
    "token share": statistic("token_share"),
    "random-only": PRIMARY,
    **{metric: score("table", metric) for metric in HEADLINE_METRICS if metric != "random-only"},
}
HEAD = ["model", "nats a token", "seeds", *NUMBERS, "of units of equal token share", "matched"]
ALL = "all before"


def by_window(results: Results) -> Table:
    """By how many tokens a layer attends to, at L = 2: each model, and CRATE minus GPT-2, paired by seed."""
    rows = []
    for corpus in CORPORA:
        cut = [
            [corpus, str(window), *row]
            for window in WINDOWS
            for row in _compared(*(_cells(results, windowed(model, window), corpus) for model in PAIR))
        ]
        whole = [[corpus, ALL, *row] for row in _compared(*(_cells(results, model, corpus) for model in PAIR))]
        rows += [*cut, *whole] if cut else []
    return ["corpus", "a layer attends to", *HEAD], rows


def by_tokens(results: Results) -> Table:
    """The same by how many tokens the pair was trained on."""
    trained = {group: [_cells(results, model, group=group) for model in PAIR] for group in ("sizes", "longer")}
    rows = [[f"{pair[0][0]['cell']['tokens']:,}", *row] for pair in trained.values() for row in _compared(*pair)]
    return ["tokens of training", *HEAD], rows if all(trained["longer"]) else []


def worth(results: Results) -> Table:
    """By model: the loss at each window less the loss where all before is attended to, paired by seed."""
    rows = []
    for corpus, model in product(CORPORA, PAIR):
        short = [_cells(results, windowed(model, window), corpus) for window in WINDOWS]
        whole = _cells(results, model, corpus)
        rows.append([corpus, model, *(with_interval(paired(cells, whole, loss)) for cells in short)])
    cut, whole = (_cells(results, model, group="longer") for model in (windowed("crate", 1), "crate"))
    rows.append([CORPORA[0], "crate, trained for longer", with_interval(paired(cut, whole, loss)), "–"])
    rows = [row for row in rows if row[2] != "–"]
    return ["corpus", "model", *(f"{window} token{'s' * (window > 1)} minus all before" for window in WINDOWS)], rows


def _cells(results: Results, model: str, corpus: str = CORPORA[0], group: str | None = None) -> list[Result]:
    asked = {} if group is None else {"group": group}
    return results.of(corpus=corpus, tokenizer="bpe:4096", layers=2, model=model, **asked)


def _compared(crate: Sequence[Result], gpt2: Sequence[Result]) -> list[list[str]]:
    """A row each, and CRATE minus GPT-2: over all units, and between units of equal token share."""
    if not (crate and gpt2):
        return []
    rows = [[model, *_row(cells), "", ""] for model, cells in zip(PAIR, (crate, gpt2), strict=True)]
    more_loss, *less = (with_interval(paired(crate, gpt2, number)) for number in (loss, *NUMBERS.values()))
    alike, share = paired_matched(crate, gpt2, "random-only", ["token_share"])
    return [*rows, ["crate minus gpt2", more_loss, "", *less, with_interval(alike), decimal(share, 2)]]


def _row(cells: Sequence[Result]) -> list[str]:
    return [*over_seeds(cells, loss), *(decimal(mean(cells, number)) for number in NUMBERS.values())]
