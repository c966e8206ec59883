"""Where both models use context: the pair on Python source, trained long enough, along its training.

A twin is the same design whose layers see the current token alone. What it loses more than the model is what context
is worth to that model.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cratelm.report.figures import looks, new_figure, svg
from cratelm.report.labels import label_ends
from cratelm.reproduce.matrix import CODE, CODE_SIZES, PAIR, windowed
from cratelm.reproduce.page import Comparison
from cratelm.reproduce.results import (
    LESS,
    Number,
    Results,
    Table,
    decimal,
    loss,
    mean,
    own_score,
    paired_by,
    stages,
    statistic,
    with_interval,
)
from cratelm.reproduce.store import Result
from cratelm.score.metrics.whole_text import WHOLE_TEXT

NUMBERS: dict[str, Number] = {
    "random-only": own_score("random-only"),
    WHOLE_TEXT.name: own_score(WHOLE_TEXT.name),
    "token share": statistic("token_share"),
}


def along_the_training(results: Results) -> Table:
    """By layers and by the tokens so far: each model, and CRATE minus GPT-2, paired by seed."""
    rows = []
    for layers in CODE_SIZES:
        crate, gpt2 = (_cells(results, model, layers) for model in PAIR)
        for stage in _shared_stages([*crate, *gpt2]) if crate and gpt2 else ():
            named = [str(layers), f"{float(stage) * crate[0]['cell']['tokens']:,.0f}"]
            for model, cells in zip(PAIR, (crate, gpt2), strict=True):
                context = _context_worth(results, cells, stage)
                rows.append([*named, model, *_means(cells, stage), decimal(context)])
            differences = [_less(crate, gpt2, number, stage) for number in (loss, *NUMBERS.values())]
            rows.append([*named, LESS, *differences, ""])
    return ["L", "tokens of training", "model", "nats a token", *NUMBERS, "context is worth, nats"], rows


def _cells(results: Results, model: str, layers: int) -> list[Result]:
    return results.of(group="code", corpus=CODE, model=model, layers=layers)


def _shared_stages(cells: Sequence[Result]) -> list[str]:
    shared = set.intersection(*(set(stages(cell)) for cell in cells))
    return sorted(shared, key=float)


def _means(cells: Sequence[Result], stage: str) -> list[str]:
    return [decimal(mean(cells, number, stage)) for number in (loss, *NUMBERS.values())]


def _less(crate: Sequence[Result], gpt2: Sequence[Result], number: Number, stage: str) -> str:
    return with_interval(paired_by(crate, gpt2, lambda a, b: number(a, stage) - number(b, stage)))


def _context_worth(results: Results, cells: Sequence[Result], stage: str) -> float:
    """The loss of twins less that of the models after as many tokens, mean over the seeds that have both; else NaN."""
    cell = cells[0]["cell"]
    twins = {twin["cell"]["seed"]: twin for twin in _cells(results, windowed(cell["model"], 1), cell["layers"])}
    both = [(one, twins[one["cell"]["seed"]]) for one in cells if one["cell"]["seed"] in twins]
    tokens = float(stage) * cell["tokens"]
    worth = [_on_curve(twin, tokens) - _on_curve(one, tokens) for one, twin in both]
    return float(np.mean(worth)) if worth else math.nan


def _on_curve(result: Result, tokens: float) -> float:
    """The validation loss after so many tokens, between two evaluations by a straight line; NaN before the first."""
    at, losses = zip(*result["curve"], strict=True)
    return float(np.interp(tokens, at, losses, left=math.nan))


def draw_lead(results: Results) -> str | None:
    """CRATE's lead over what context is worth to it, a point a stage of training, a line a seed; None without twins."""
    leads = {name: _leads(results, NUMBERS[name]) for name in ("random-only", WHOLE_TEXT.name)}
    if not any(leads.values()):
        return None
    figure, axes = new_figure(columns=2, height=3.6)
    for axis, (name, by_seed) in zip(axes[0], leads.items(), strict=True):
        ends = []
        for (colour, mark, line), (seed, points) in zip(looks(), by_seed.items(), strict=False):
            axis.plot(*zip(*points, strict=True), marker=mark, linestyle=line, color=colour)
            ends.append((*points[-1], f"seed {seed}", colour))
        axis.axhline(0, color="0.7", linewidth=0.8)
        axis.set(xlabel="context is worth to CRATE, nats a token", ylabel=f"{name}, CRATE minus GPT-2")
        label_ends(axis, ends)
    return svg(figure)


def _leads(results: Results, number: Number) -> dict[int, list[tuple[float, float]]]:
    """By seed: (what context is worth to CRATE, CRATE's lead) at every stage of training but the first."""
    crate, gpt2 = (_cells(results, model, CODE_SIZES[0]) for model in PAIR)
    by_seed = {cell["cell"]["seed"]: cell for cell in gpt2}
    lines: dict[int, list[tuple[float, float]]] = {}
    for cell in crate:
        rival: Any = by_seed.get(cell["cell"]["seed"])
        trained = [stage for stage in _shared_stages([cell, rival]) if float(stage)] if rival else []
        line = [(_context_worth(results, [cell], at), number(cell, at) - number(rival, at)) for at in trained]
        if line and all(math.isfinite(worth) for worth, _ in line):
            lines[cell["cell"]["seed"]] = line
    return lines


ON_CODE = Comparison(
    name="code",
    order=135,
    title="Where context is used: Python source",
    table=along_the_training,
    text=f"""The pair on the corpus `{CODE}`, at the learning rate that suits both (docs/log.md). *Context is worth*:
what the design's twin, whose layers see the current token alone, loses more after as many tokens. If CRATE were
readable because it uses context less, its lead would shrink along the line as context gains in worth to it. A lead
that stays has another cause.""",
    figure=draw_lead,
)
