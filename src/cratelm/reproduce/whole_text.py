"""What random-only owes to its five excerpts: the pair by them, and by the whole score half."""

from collections.abc import Sequence

from cratelm.reproduce.gather import END, Number, Result, Results, mean, paired, score, statistic
from cratelm.reproduce.matrix import PAIR
from cratelm.reproduce.numerals import decimal, with_interval
from cratelm.reproduce.tables import Table, pairs
from cratelm.reproduce.units import paired_matched
from cratelm.score.whole_text import METRIC

METRICS = ("random-only", METRIC)
LESS = "crate minus gpt2"


def by_amount_of_text(results: Results) -> Table:
    """Each layer by both metrics, and CRATE minus GPT-2, of those cells that were measured on the whole half."""
    rows = []
    for corpus, layers, cells in pairs(results):
        crate, gpt2 = ([cell for cell in of if _has_whole_text(cell)] for of in cells)
        if crate and gpt2:
            shown = [row for model, of in zip(PAIR, (crate, gpt2), strict=True) for row in _layers(model, of, layers)]
            rows += [[corpus, str(layers), *row] for row in (*shown, *_differences(crate, gpt2))]
    return ["corpus", "L", "model", "layer", "seeds", "firing rate", *METRICS], rows


def _layers(model: str, cells: Sequence[Result], layers: int) -> list[list[str]]:
    rows = []
    for layer in (*range(layers), "all"):
        numbers: list[Number] = [statistic("firing_rate", layer), *(score("table", of, layer) for of in METRICS)]
        rows.append([model, str(layer), str(len(cells)), *(decimal(mean(cells, number)) for number in numbers)])
    return rows


def _differences(crate: Sequence[Result], gpt2: Sequence[Result]) -> list[list[str]]:
    found = [paired(crate, gpt2, score("table", of)) for of in METRICS]
    alike = [paired_matched(crate, gpt2, of, ("token_share",))[0] for of in METRICS]
    named = ((LESS, found), (f"{LESS}, of equal token share", alike))
    return [[name, "all", str(of[0][-1]), "–", *map(with_interval, of)] for name, of in named]


def _has_whole_text(result: Result) -> bool:
    return any(row["metric"] == METRIC for row in result["stages"][END]["scores"])
