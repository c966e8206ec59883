"""The reproduction: which cells there are, what they cost, and what is refused before one is run."""

import json
import re
from itertools import product

import pytest

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.models.build import build_config
from cratelm.presets import preset, train_preset
from cratelm.reproduce import matrix
from cratelm.reproduce.matrix import ABLATIONS, CODE_DESIGNS
from cratelm.reproduce.page import write_page
from cratelm.reproduce.plan import POINT_SECONDS, plan_laptop, plan_paper
from cratelm.reproduce.published import configurations
from cratelm.reproduce.results import (
    Results,
)
from cratelm.reproduce.run import reproduce, threads_of
from cratelm.shards.config import EngineConfig


def test_the_matrix_has_every_cell_once_and_every_model_can_be_made() -> None:
    cells = matrix.laptop()
    sizes, ablations, context, longer, vocabulary = 2 * 3 * 3 * 3, 3 * (len(ABLATIONS) + 1), 3 * 2 * (2 + 1), 3 * 3, 2
    code = 2 * 2 * 3 + 2 * 2 + len(CODE_DESIGNS)
    assert len({cell.name for cell in cells}) == len(cells) == sizes + ablations + context + longer + vocabulary + code
    tokens = {"longer": 24_000_000, "code": 24_000_000}
    for cell in cells:
        build_config(cell.model, cell.study().shape, 1, 0)
        assert cell.study().training.tokens == tokens.get(cell.group, 8_000_000)
        assert cell.study().saes == preset("laptop").saes
    assert all(cell.study().training.tokens == 3_000_000 for cell in matrix.quick())


def test_the_papers_parameters_are_counted_as_they_are() -> None:
    head, rows = configurations(Results([]))
    counted = {(row[0], row[1]): row[head.index("parameters, counted")] for row in rows}
    assert counted["2L", "crate"] == "6,637,056"
    assert counted["6L", "crate"] == "59,891,712"
    assert counted["12L", "gpt2"] == "123,587,328"


@pytest.mark.parametrize(
    "begun",
    ["models/{}.partial/stage.json", "models/{}-untrained.partial/stage.json", "measured/{}/1/records/manifest.json"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_cell_begun_on_another_number_of_threads_is_refused_before_anything_is_run(
    begun: str, workers: int, tmp_path, quiet, monkeypatch
) -> None:
    def never(*arguments) -> None:
        raise AssertionError

    monkeypatch.setattr("cratelm.reproduce.run.run_cell", never)
    monkeypatch.setattr("cratelm.reproduce.run.text_of", never)
    monkeypatch.setattr("cratelm.reproduce.run.draw_figures", lambda results: {})
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    cell = matrix.quick()[0]
    there = tmp_path / "work" / begun.format(cell.name)
    there.parent.mkdir(parents=True)
    (tmp_path / "cells").mkdir()
    there.write_text('{"threads": 5}')
    with pytest.raises(InputError, match=r"begun on 5 threads.*go on with 3.*Set OMP_NUM_THREADS=5 to go on"):
        reproduce([cell], tmp_path, "*", quiet, EngineConfig(workers=workers))
    there.write_text('{"threads": 3}')
    with pytest.raises(AssertionError):
        reproduce([cell], tmp_path, "*", quiet, EngineConfig(workers=workers))


def test_a_workers_threads_are_what_the_environment_says_or_its_share_of_the_processor(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 9)
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_of(workers) for workers in (1, 2, 20)] == [7, 4, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert [threads_of(workers) for workers in (1, 2, 20)] == [7, 7, 7]


def test_the_papers_cells_are_trained_as_its_presets_are_so_that_models_of_theirs_are_taken() -> None:
    cells = matrix.paper()
    assert {(cell.layers, cell.model) for cell in cells} == set(product((1, 2, 3, 6, 12), ("crate", "gpt2")))
    for cell in cells:
        study, theirs = cell.study(), train_preset(f"paper-{cell.layers}l")
        assert (study.shape, study.training, study.seed) == (theirs.shape, theirs.training, theirs.seed)
        assert study.training.tokens == cell.tokens and study.corpus.tokenizer == cell.tokenizer
        assert cell.in_full and cell.has_autoencoders == (cell.layers <= 3)


def test_a_page_without_cells_says_so() -> None:
    page = write_page(Results([], asked=matrix.laptop()))
    assert f"0 of {len(matrix.laptop())} cells" in page
    assert "No cell of this has been run." in page


def test_a_page_tells_of_its_cells_and_not_of_how_it_came_about() -> None:
    page = write_page(Results([], asked=matrix.laptop()))
    assert not re.search(r"\b(20\d\d|added when|had been seen|512)\b", page)


def test_a_plan_costs_what_its_operations_cost() -> None:
    rows = {(row["size"], row["model"]): row for row in plan_paper()}
    assert rows["12L", "crate"]["hours"]["A100"] == pytest.approx(444, rel=0.02)  # docs/training.md
    assert rows["12L", "crate"]["dollars"]["A100"] == pytest.approx(2 * rows["12L", "crate"]["hours"]["A100"])
    laptop = {row["group"]: row for row in plan_laptop(matrix.laptop())}
    assert sum(row["cells"] for row in laptop.values()) == len(matrix.laptop())
    assert laptop["ablations"]["measuring"] == pytest.approx(3 * (len(ABLATIONS) + 1) * 2 * POINT_SECONDS / 2 / 3600)
    asked = [
        c
        for c in matrix.laptop()
        if c.group in ("sizes", "vocabulary") or (c.group == "ablations" and c.seed < 2 and "rotary" not in c.model)
    ]
    assert sum(row["training"] + row["measuring"] for row in plan_laptop(asked)) < 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --out DIR"),
        (["--scale", "paper", "--out", "x"], "--plan says"),
        (["--scale", "paper", "--quick", "--out", "x"], "--only chooses"),
        (["--only", "nothing-*", "--out", "{out}"], "no cell matches"),
    ],
)
def test_bad_input_is_answered_by_one_line(arguments, message, tmp_path, capsys) -> None:
    assert run(["reproduce", *(argument.format(out=tmp_path) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_the_plan_of_the_command_is_the_one_of_the_matrix(capsys) -> None:
    assert run(["reproduce", "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == plan_laptop(matrix.laptop())


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        ({"schema": 4}, "is of schema 4, this version reads 5: remove it to make it again"),
        ({"schema": 5}, "belongs to"),
    ],
)
def test_a_result_of_another_format_is_named(summary, message, tmp_path, capsys) -> None:
    (tmp_path / "cells").mkdir()
    name = matrix.quick()[0].name
    (tmp_path / "cells" / f"{name}.json").write_text(json.dumps(summary))
    assert run(["reproduce", "--quick", "--out", str(tmp_path)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
