"""What random-only owes to its five excerpts: the pair, and latents, by them and by the whole score half."""

from collections.abc import Sequence

from cratelm.reproduce.gather import (
    ALL,
    END,
    Found,
    Number,
    Result,
    Results,
    dictionaries,
    latents,
    latents_statistic,
    mean,
    paired,
    paired_between,
    score,
    statistic,
)
from cratelm.reproduce.matrix import PAIR
from cratelm.reproduce.numerals import decimal, with_interval
from cratelm.reproduce.store import MODEL, Key
from cratelm.reproduce.tables import Table, pairs
from cratelm.reproduce.units import paired_matched
from cratelm.score.metrics.whole_text import WHOLE_TEXT

METRICS = ("random-only", WHOLE_TEXT.name)
LESS = "crate minus gpt2"


def by_amount_of_text(results: Results) -> Table:
    """Each layer by both metrics, and CRATE minus GPT-2 and its latents, of cells that have both."""
    rows = []
    for corpus, layers, cells in pairs(results):
        crate, gpt2 = ([cell for cell in of if _has_whole_text(cell, MODEL)] for of in cells)
        if crate and gpt2:
            shown = [row for model, of in zip(PAIR, (crate, gpt2), strict=True) for row in _layers(model, of, layers)]
            shown += [*_latents(gpt2), *_differences(crate, gpt2)]
            rows += [[corpus, str(layers), *row] for row in shown]
    return ["corpus", "L", "units of", "layer", "seeds", "firing rate", *METRICS], rows


def _layers(model: str, cells: Sequence[Result], layers: int) -> list[list[str]]:
    rows = []
    for layer in (*range(layers), "all"):
        numbers: list[Number] = [statistic("firing_rate", layer), *(score("table", of, layer) for of in METRICS)]
        rows.append([model, str(layer), str(len(cells)), *(decimal(mean(cells, number)) for number in numbers)])
    return rows


def _latents(gpt2: Sequence[Result]) -> list[list[str]]:
    rows = []
    for name, cells in _with_latents(gpt2).items():
        numbers = [latents_statistic(name, "firing_rate"), *(latents(name, of) for of in METRICS)]
        shown = [decimal(mean(cells, number)) for number in numbers]
        rows.append([f"gpt2's latents, {name}", "all", str(len(cells)), *shown])
    return rows


def _differences(crate: Sequence[Result], gpt2: Sequence[Result]) -> list[list[str]]:
    named: dict[str, list[Found]] = {LESS: [paired(crate, gpt2, score("table", of)) for of in METRICS]}
    named[f"{LESS}, of equal token share"] = [paired_matched(crate, gpt2, of, ("token_share",))[0] for of in METRICS]
    for name, cells in _with_latents(gpt2).items():
        named[f"{LESS}'s latents, {name}"] = [
            paired_between(crate, score("table", of), cells, latents(name, of)) for of in METRICS
        ]
    return [[name, "all", str(of[0].seeds), "–", *map(with_interval, of)] for name, of in named.items()]


def _with_latents(cells: Sequence[Result]) -> dict[str, list[Result]]:
    """By dictionary, the cells whose latents were measured on the whole half."""
    return {
        name: found
        for name in dictionaries(cells)
        if (found := [cell for cell in cells if _has_whole_text(cell, name)])
    }


def _has_whole_text(cell: Result, source: str) -> bool:
    return Key("score", source, END, "table", WHOLE_TEXT.name, ALL) in cell["numbers"]
