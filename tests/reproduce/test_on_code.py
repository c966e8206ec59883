"""The pair on Python source: what context is worth along the training, and what is left of CRATE's lead."""

import math

from cratelm.reproduce.matrix import CODE, CODE_RATE, CODE_TOKENS, laptop
from cratelm.reproduce.on_code import ON_CODE, along_the_training
from cratelm.reproduce.page import draw_figures, write_page
from cratelm.reproduce.results import Results
from cratelm.reproduce.store import Key, Result
from tests.cells import of_cell, scored

STAGES = {"0.25": (4.0, 0.6), "1": (3.0, 0.5)}


def on_code(model: str, seed: int, behind: float = 0.0, above: float = 0.0) -> Result:
    """A cell that loses `behind` nats more than STAGES say, and scores `above` more."""
    numbers = {}
    for stage, (loss, score) in STAGES.items():
        numbers |= {Key("nats_per_token", stage=stage): loss + behind}
        numbers |= {Key("token_share", stage=stage, layer="all"): 0.9}
        for metric in ("random-only", "whole-text"):
            numbers |= scored(score + above, metric, stage=stage)
    cell = of_cell(model, seed, numbers, group="code", corpus=CODE, tokens=CODE_TOKENS)
    at = [0.2 * CODE_TOKENS, 0.3 * CODE_TOKENS, CODE_TOKENS]
    return cell | {"curve": [[tokens, loss + behind] for tokens, loss in zip(at, (4.5, 3.5, 3.0), strict=True)]}


def test_a_stage_has_both_models_what_context_is_worth_and_the_lead_with_its_interval() -> None:
    cells = [
        *(on_code("crate", seed, behind=0.25, above=0.1 + seed / 100) for seed in (0, 1)),
        *(on_code("gpt2", seed) for seed in (0, 1)),
        on_code("crate+sliding_window=1", 0, behind=0.75),
        on_code("gpt2+sliding_window=1", 0, behind=1.5),
    ]
    head, rows = along_the_training(Results(cells))
    shown = {(row[1], row[2]): dict(zip(head, row, strict=True)) for row in rows}
    assert [tokens for tokens, model in shown if model == "crate"] == ["6,000,000", "24,000,000"]
    assert shown["6,000,000", "crate"]["context is worth, nats"] == "0.500"
    assert shown["24,000,000", "gpt2"]["context is worth, nats"] == "1.500"
    assert shown["24,000,000", "crate"]["nats a token"] == "3.250"
    assert shown["6,000,000", "crate minus gpt2"]["random-only"].startswith("0.105 [0.0")
    assert shown["6,000,000", "crate minus gpt2"]["nats a token"] == "0.250 [0.250, 0.250]"


def test_without_twins_it_is_not_known_what_context_is_worth() -> None:
    head, rows = along_the_training(Results([on_code("crate", 0), on_code("gpt2", 0)]))
    assert {row[head.index("context is worth, nats")] for row in rows if row[2] != "crate minus gpt2"} == {"–"}


def test_without_twins_no_empty_figure_is_drawn_or_shown_on_the_page(monkeypatch) -> None:
    monkeypatch.setattr("cratelm.reproduce.page.comparisons", lambda: [ON_CODE])
    pair = [on_code("crate", 0), on_code("gpt2", 0)]
    for cells, drawn in ((pair, False), ([*pair, on_code("crate+sliding_window=1", 0, behind=0.75)], True)):
        results = Results(cells, asked=laptop())
        figures = draw_figures(results)
        assert [name for name, figure in figures.items() if "<svg" in figure] == ["code"] * drawn
        assert ("](code.svg)" in write_page(results, figures)) == drawn


def test_a_model_of_the_pair_alone_has_no_rows() -> None:
    assert along_the_training(Results([on_code("crate", 0)]))[1] == []


def test_the_pair_on_code_is_measured_along_its_training_and_its_relatives_in_the_end_alone() -> None:
    cells = [cell for cell in laptop() if cell.group == "code"]
    assert {cell.model for cell in cells if cell.in_full} == {"crate", "gpt2"}
    assert all(math.isclose(cell.study().training.tokens, CODE_TOKENS) for cell in cells)
    assert {cell.study().training.learning_rate for cell in cells} == {CODE_RATE}
    assert [(cell.layers, cell.seed, cell.model) for cell in cells[:2]] == [(2, 0, "crate"), (2, 0, "gpt2")]
