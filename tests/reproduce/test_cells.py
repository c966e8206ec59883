"""Two cells of the reproduction, trained and measured, and the page of them."""

import json
import math
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from cratelm.artifacts import open_artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_train
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.reproduce import examples, matrix
from cratelm.reproduce.matrix import Cell
from cratelm.reproduce.page import NOT_RUN, comparisons, write_page
from cratelm.reproduce.results import (
    Results,
    delta_loss,
    dictionaries,
    latents,
    loss,
    paper_score,
    score,
    stages,
    statistic,
)
from cratelm.reproduce.run import reproduce
from cratelm.reproduce.store import Key, Result, read_cell
from cratelm.reproduce.verdicts import judged
from cratelm.shards.config import EngineConfig
from tests import killed
from tests.shared import Shared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(small_study: StudyConfig, shared: Shared, quiet: Progress) -> Path:
    """Two cells, each of a second of training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cell, "study", lambda cell: killed.cell_study(small_study, cell))
        return shared.folder("reproduction", lambda out: reproduce(matrix.quick(), out, "*", quiet))


def cell_of(out: Path, model: str) -> Result:
    (path,) = (out / "cells").glob(f"*-{model}-s0.json")
    return read_cell(path.parent, path.stem)


def kept(out: Path, model: str) -> tuple:
    """What a cell says but for its run, and the bytes of its tables."""
    tables = sorted((out / "cells").rglob(f"*-{model}-s0.parquet"))
    (path,) = (out / "cells").glob(f"*-{model}-s0.json")
    summary = json.loads(path.read_text())
    assert len(tables) == 2 and summary.pop("run")
    return summary, *(table.read_bytes() for table in tables)


def all_cells(out: Path) -> list[Result]:
    return [read_cell(path.parent, path.stem) for path in (out / "cells").glob("*.json")]


def test_a_cell_is_measured_at_every_point_of_its_training_and_its_numbers_add_up(results) -> None:
    result = cell_of(results, "crate")
    assert stages(result) == ["0", "0.5", "1"]
    assert loss(result, "0") > loss(result, "0.5") > loss(result, "1")
    # While it trains, a model computes in bf16 where the processor can.
    assert loss(result, "1") == pytest.approx(result["training"]["nats_per_token"], abs=2e-3)
    for stage in stages(result):
        layers = [score("table", "random-only", layer)(result, stage) for layer in (0, 1)]
        assert score("table", "random-only")(result, stage) == pytest.approx(np.mean(layers))
        for layer in ("0", "1"):
            assert sum(result["numbers"][Key("histogram", stage=stage, layer=layer)]) == 64
            assert 0 < statistic("hoyer", layer)(result, stage) < 1
    by_paper = {key: value for key, value in result["numbers"].items() if key.source == "paper" and key.name == "score"}
    assert len(by_paper) == 2 * 3 * 3
    assert paper_score("table", "anthropic")(result, "1") == pytest.approx(
        np.mean([paper_score("table", "anthropic", layer)(result, "1") for layer in (0, 1)])
    )
    tokens, losses = zip(*result["curve"], strict=True)
    assert list(tokens) == sorted(tokens) and tokens[-1] == result["training"]["tokens"] and losses[0] > losses[-1]
    trained_on = len(read_train(open_artifact(results / "work" / "tokens" / "reviews-bpe4096", "tokens")))
    assert result["ngrams"].keys() == {"1", "2", "3"}
    epochs = f"{result['training']['tokens'] / trained_on:.2f}"
    assert f"| {result['training']['tokens']:,} | {epochs} |" in (results / "README.md").read_text()
    assert (
        f"| bigram counts | – | {trained_on:,} | 1.00 | {result['ngrams']['2']:.3f} |"
        in (results / "README.md").read_text()
    )
    assert not list((results / "work" / "measured").iterdir())
    drawn = np.array(result["numbers"][Key("draws", explainer="table", metric="random-only", layer="all")])
    assert drawn.std() > 0 and abs(drawn.mean() - score("table", "random-only")(result, "1")) < 5 * drawn.std()


def test_a_cells_summary_is_short_and_its_tables_are_small(results) -> None:
    for path in (results / "cells").glob("*.json"):
        assert len(path.read_text().splitlines()) < 150
        assert json.loads(path.read_text())["main"]["layers"][-1]["layer"] == "all"
    assert sum(path.stat().st_size for path in (results / "cells").rglob("*.*")) < 2 * 60_000


@pytest.mark.processes
def test_a_cell_that_is_killed_while_it_is_measured_ends_with_the_same_numbers(results, small_study, tmp_path) -> None:
    shutil.copytree(results, tmp_path / "out")
    expected = kept(tmp_path / "out", "crate")
    for path in (tmp_path / "out" / "cells").rglob("*-crate-s0.*"):
        path.unlink()
    assert killed.make_with_kills(killed.make_cell, tmp_path / "out", small_study, writes=60, more=100) == 1
    assert kept(tmp_path / "out", "crate") == expected


def test_a_cell_keeps_every_unit_and_their_means_are_its_own(results, small_study) -> None:
    for result in all_cells(results):
        units = {name: np.array(column, dtype=float) for name, column in result["units"].items()}
        for layer in (0, 1):
            mine = {name: column[units["layer"] == layer] for name, column in units.items()}
            assert len(mine["layer"]) == 64
            for metric in ("random-only", "top-and-random", "anthropic"):
                mean = np.nan_to_num(mine[metric]).mean()  # what has no score counts as 0
                assert mean == pytest.approx(score("table", metric, layer)(result, "1"), abs=1e-4)
            for name in ("token_share", "firing_rate"):
                # Of the explain half, where the cell's own statistics are of the score half.
                assert np.nanmean(mine[name]) == pytest.approx(statistic(name, layer)(result, "1"), abs=0.05)
                assert np.nanmean(mine[name]) != pytest.approx(statistic(name, layer)(result, "1"), abs=1e-6)
            sampled = np.nansum(mine["whole-text"]) / small_study.records.table_units  # of which some are dead
            assert sampled == pytest.approx(score("table", "whole-text", layer)(result, "1"), abs=1e-4)


def test_the_latents_of_autoencoders_are_measured_as_the_units_are(results) -> None:
    result = cell_of(results, "gpt2")
    (name,) = dictionaries([result])
    assert name == "1x-k8"
    numbers = result["numbers"]
    measured = {source: {key._replace(source="") for key in numbers if key[:3] == ("score", source, "1")}
                for source in ("model", name)}  # fmt: skip
    assert measured[name] == measured["model"]
    assert latents(name, "random-only")(result, "1") != score("table", "random-only")(result, "1")
    layers = [latents(name, "anthropic", layer)(result, "1") for layer in (0, 1)]
    assert latents(name, "anthropic")(result, "1") == pytest.approx(np.mean(layers))
    assert [numbers[Key("l0", name, layer=layer)] for layer in ("0", "1")] == pytest.approx([8, 8], abs=0.5)
    page = (results / "README.md").read_text()
    assert f"| 2 | gpt2 | {name} | 1 | {delta_loss(name)(result, '1'):.4f} |" in page
    assert f"higher random-only than GPT-2's latents, {name}" in page
    assert math.isnan(latents("4x-k8", "random-only")(result, "1"))
    assert math.isnan(paper_score("table", "anthropic")(result | {"numbers": {}}, "1"))


def test_a_cell_shows_units_drawn_and_best_with_what_turning_them_does(results) -> None:
    shown = cell_of(results, "crate")["examples"]
    assert [card["chosen"] for card in shown["cards"]] == ["drawn"] * 3 + ["best"] * 2
    best = [float(card["scores"]["random-only"].split()[0]) for card in shown["cards"][3:]]
    assert best[0] >= best[1] >= max(float(card["scores"]["random-only"].split()[0]) for card in shown["cards"][:3])
    for card in shown["cards"]:
        assert [one["kind"] for one in card["excerpts"]][-1] == "random"
        assert "¦9]" in card["excerpts"][0]["text"]
    for words in shown["next_words"].values():
        shares = [share for _, share in words]
        assert len(words) == 5 and shares == sorted(shares, reverse=True) and sum(shares) <= 1
    assert len(shown["turned"]) == 6
    assert all(after >= before for row in shown["turned"] for _, before, after in row["raised"][:1])
    page = (results / "README.md").read_text()
    for card in shown["cards"]:
        assert f"`{card['address']}`" in page
    assert "chosen, and far above the mean" in page


def test_text_of_data_is_code_on_the_page(results) -> None:
    result = cell_of(results, "crate")
    card = result["examples"]["cards"][0]
    card["excerpts"][0]["text"] = "`<img src=x>|\n"
    page = examples.cards(Results([result]))
    assert "ˋ<img src=x>" in page and "¦↵" in page
    assert examples.as_code("\n") == "`↵`" and examples.as_code(" ") == "`␣`"
    assert all(line.count("`") % 2 == 0 for line in page.splitlines())


class SmallCell(Cell):
    """A cell that carries its settings to another process."""

    settings: StudyConfig

    def study(self) -> StudyConfig:
        return killed.cell_study(self.settings, self)


def small(cell: Cell, settings: StudyConfig) -> SmallCell:
    made = SmallCell(**asdict(cell))
    object.__setattr__(made, "settings", settings)
    return made


@pytest.mark.processes
def test_two_workers_find_what_one_process_finds_and_an_ablation_is_measured_in_the_end_alone(
    results, small_study, tmp_path, quiet, monkeypatch
) -> None:
    monkeypatch.setattr("cratelm.reproduce.run.draw_figures", lambda results: {})  # they take long
    crate = matrix.quick()[0]
    cells = [small(cell, small_study) for cell in (crate, replace(crate, group="ablations", model="crate-alpha"))]
    reproduce(cells, tmp_path, "*", quiet, EngineConfig(workers=2))
    runs = [cell_of(folder, "crate")["run"] for folder in (tmp_path, results)]
    expected = {"date", "machine", "torch", "processor_seconds", "threads"}
    assert all(run.keys() == expected and None not in run["threads"].values() for run in runs)
    assert kept(tmp_path, "crate") == kept(results, "crate")
    ablation = cell_of(tmp_path, "crate-alpha")
    assert stages(ablation) == ["1"] and {key.source for key in ablation["numbers"]} == {"model"}


def test_cells_that_are_there_are_not_run_again_and_the_page_says_how_many(
    results, tmp_path, quiet, monkeypatch
) -> None:
    def never(*arguments) -> None:
        raise AssertionError

    monkeypatch.setattr("cratelm.reproduce.cell.train", never)
    again = shutil.copytree(results, tmp_path / "again")
    page = reproduce(matrix.quick(), again, "*", quiet).read_text()
    assert "2 of 2 cells" in page
    assert "compare signs only" in page
    for figure in ("frontier", "layers", "progress", "losses", "context", "histograms"):
        assert (again / f"{figure}.svg").read_text().startswith("<svg")
    assert "55.9M" in page
    assert "(one seed)" in page
    cells = all_cells(again)
    hours = sum(cell["run"]["processor_seconds"] for cell in cells) / 3600
    run, precision = cells[0]["run"], cells[0]["training"]["precision"]
    told = ["sizes", "reviews", "2 of 2", "0", run["machine"], run["torch"], precision, run["date"], f"{hours:.1f}"]
    assert f"| {' | '.join(told)} |" in page


def test_the_page_is_of_the_corpus_and_the_sizes_that_were_asked_for(results) -> None:
    found = all_cells(results)
    for cell in found:
        cell["cell"] |= {"corpus": matrix.PILE, "tokenizer": "gpt2"}
    page = write_page(Results(found, matrix.PILE, "gpt2", (2, 6), matrix.paper()))
    assert "on the corpus `pile`" in page and "2 of 10 cells" in page
    assert "| CRATE has | pile, L = 2 | the paper at L = 2, 6 |" in page
    for layers in (2, 6):  # ours beside the paper's, and the paper's alone
        assert page.count(f"| {layers} | crate | random-only |") == 1


def test_every_comparison_has_its_part_of_the_page_in_order_and_its_figure_beside_it(results) -> None:
    page = (results / "README.md").read_text()
    places = [page.index(f"## {comparison.title}\n") for comparison in comparisons()]
    assert places == sorted(places) and page.count("\n## ") == len(places)
    parts = dict(zip([one.name for one in comparisons()], re.split(r"^## ", page, flags=re.MULTILINE)[1:], strict=True))
    not_run = {name for name, part in parts.items() if NOT_RUN in part}
    assert "code" in not_run and "layers" not in not_run
    drawn = {f"{one.name}.svg" for one in comparisons() if one.figure and one.name not in not_run}
    assert drawn == {path.name for path in results.glob("*.svg")} == set(re.findall(r"\]\(([\w-]+\.svg)\)", page))


def test_the_papers_own_signs_are_those_of_its_table(results) -> None:
    head, rows = judged(Results(all_cells(results)))
    signs = {row[0]: row[-1] for row in rows}
    assert head[1:-1] == ["reviews, L = 2"]
    assert signs["higher random-only (primary)"] == signs["higher anthropic"] == "− + +"
    assert signs["higher anthropic, by the paper's protocol"] == "− + +"
    assert signs["lower variance over layers, random-only"] == "0 + −"


def test_the_page_is_written_from_what_is_there_and_cells_of_other_settings_are_refused(
    results, tmp_path, quiet, capsys
) -> None:
    page = reproduce(matrix.quick(), shutil.copytree(results, tmp_path / "whole"), "*", quiet)
    shutil.copytree(results / "cells", tmp_path / "out" / "cells")
    assert run(["reproduce", "--quick", "--page", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "README.md").read_text() == page.read_text()
    assert not (tmp_path / "out" / "work").exists()
    assert run(["reproduce", "--page", "--out", str(tmp_path / "out")]) == 2
    assert "other settings, such as those of --quick" in " ".join(capsys.readouterr().err.split())
