"""CRATE and GPT-2 with their context taken away: what is left of CRATE's lead where neither has any."""

from collections.abc import Sequence

from cratelm.reproduce.gather import Number, Result, Results, loss, mean, of_scored, paired, score, statistic
from cratelm.reproduce.matrix import PAIR, WINDOWS, windowed
from cratelm.reproduce.numerals import decimal, over_seeds, with_interval
from cratelm.reproduce.tables import PRIMARY, Table
from cratelm.reproduce.units import paired_matched
from cratelm.score.config import CORRELATIONS

NUMBERS: dict[str, Number] = {
    "token share": statistic("token_share"),
    "random-only": PRIMARY,
    "of those scored": of_scored("table", "random-only"),
    **{metric: score("table", metric) for metric in CORRELATIONS if metric != "random-only"},
}
ALIKE = ["of those of equal token share", "matched"]


def by_window(results: Results) -> Table:
    """By how many tokens a layer attends to, at L = 2: each model, and CRATE minus GPT-2, paired by seed."""
    rows = []
    for window in (*WINDOWS, None):
        crate, gpt2 = (_cells(results, model, window) for model in PAIR)
        if crate and gpt2:
            attends = "all before" if window is None else str(window)
            rows += [[attends, model, *_row(cells)] for model, cells in zip(PAIR, (crate, gpt2), strict=True)]
            rows.append([attends, "crate minus gpt2", *_less(crate, gpt2)])
    head = ["a layer attends to", "model", "nats a token", "seeds", *NUMBERS, *ALIKE]
    return head, rows if len(rows) > len(PAIR) + 1 else []


def worth(results: Results) -> Table:
    """By model: the loss at each window less the loss where all before is attended to, paired by seed."""
    rows = []
    for model in PAIR:
        whole = _cells(results, model, None)
        cut = [_cells(results, model, window) for window in WINDOWS]
        if whole and all(cut):
            rows.append([model, *(with_interval(paired(cells, whole, loss)) for cells in cut)])
    return ["nats a token", *(f"{window} token{'s' * (window > 1)} minus all before" for window in WINDOWS)], rows


def _cells(results: Results, model: str, window: int | None) -> list[Result]:
    return results.of(corpus="reviews", tokenizer="bpe:4096", layers=2, model=windowed(model, window))


def _row(cells: Sequence[Result]) -> list[str]:
    return [*over_seeds(cells, loss), *(decimal(mean(cells, number)) for number in NUMBERS.values()), "", ""]


def _less(crate: Sequence[Result], gpt2: Sequence[Result]) -> list[str]:
    """CRATE minus GPT-2: over all units, and between units of equal token share."""
    more_loss, *less = (with_interval(paired(crate, gpt2, number)) for number in (loss, *NUMBERS.values()))
    alike, share = paired_matched(crate, gpt2, "random-only", ["token_share"])
    return [more_loss, "", *less, with_interval(alike), decimal(share, 2)]
