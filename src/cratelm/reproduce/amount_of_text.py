"""CRATE against GPT-2 where few excerpts of a unit are scored, and where the whole text is."""

from collections.abc import Sequence

from cratelm.protocols import ENDPOINT
from cratelm.reproduce.matching import paired_matched
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.results import (
    LESS,
    Difference,
    Results,
    Table,
    dictionaries,
    latents,
    latents_statistic,
    means,
    own_score,
    paired,
    paired_between,
    pairs,
    statistic,
    with_interval,
)
from cratelm.reproduce.store import ALL, END, MODEL, Key, Result
from cratelm.score.metrics.whole_text import WHOLE_TEXT

AMOUNTS = (ENDPOINT.metric, WHOLE_TEXT.name)
"""Metrics that take few excerpts of a unit, and all of the text."""


def by_amount_of_text(results: Results) -> Table:
    """Each layer by both metrics, and CRATE minus GPT-2 and its latents, of cells that have both."""
    rows = []
    for corpus, layers, cells in pairs(results):
        crate, gpt2 = ([cell for cell in model_cells if _has_whole_text(cell, MODEL)] for model_cells in cells)
        if crate and gpt2:
            shown = [*_by_layer("crate", crate, layers), *_by_layer("gpt2", gpt2, layers)]
            shown += [*_latents(gpt2), *_differences(crate, gpt2)]
            rows += [[corpus, str(layers), *row] for row in shown]
    return ["corpus", "L", "units of", "layer", "seeds", "firing rate", *AMOUNTS], rows


def _by_layer(model: str, cells: Sequence[Result], layers: int) -> list[list[str]]:
    rows = []
    for layer in (*range(layers), "all"):
        numbers = [statistic("firing_rate", layer), *(own_score(metric, layer) for metric in AMOUNTS)]
        rows.append([model, str(layer), str(len(cells)), *means(cells, numbers)])
    return rows


def _latents(gpt2: Sequence[Result]) -> list[list[str]]:
    rows = []
    for name, cells in _with_latents(gpt2).items():
        numbers = [latents_statistic(name, "firing_rate"), *(latents(name, metric) for metric in AMOUNTS)]
        rows.append([f"gpt2's latents, {name}", "all", str(len(cells)), *means(cells, numbers)])
    return rows


def _differences(crate: Sequence[Result], gpt2: Sequence[Result]) -> list[list[str]]:
    named: dict[str, list[Difference]] = {LESS: [paired(crate, gpt2, own_score(metric)) for metric in AMOUNTS]}
    named[f"{LESS}, at equal token share"] = [
        paired_matched(crate, gpt2, metric, ("token_share",))[0] for metric in AMOUNTS
    ]
    for name, cells in _with_latents(gpt2).items():
        named[f"{LESS}'s latents, {name}"] = [
            paired_between(crate, own_score(metric), cells, latents(name, metric)) for metric in AMOUNTS
        ]
    return [[name, "all", str(less[0].seeds), "–", *map(with_interval, less)] for name, less in named.items()]


def _with_latents(cells: Sequence[Result]) -> dict[str, list[Result]]:
    """By dictionary, the cells whose latents were measured on the whole half."""
    by_dictionary = {name: [cell for cell in cells if _has_whole_text(cell, name)] for name in dictionaries(cells)}
    return {name: cells for name, cells in by_dictionary.items() if cells}


def _has_whole_text(cell: Result, source: str) -> bool:
    return Key("score", source, END, ENDPOINT.explainer, WHOLE_TEXT.name, ALL) in cell["numbers"]


AMOUNT_OF_TEXT = Comparison(
    name="amount-of-text",
    order=90,
    title="Few excerpts, or the whole text",
    table=by_amount_of_text,
    text="""By `table`. Random-only takes a few excerpts of a unit, as OpenAI and the paper do; whole-text is the same
correlation over a sample of the score half's text, of a sample of the units of each layer (docs/scoring.md). Cells of
earlier versions have it over all of the score half. In five excerpts a unit that fires on rare tokens is mostly seen
without them, and scores lower. Cells without whole-text are left out.""",
)
