"""Explainers on units whose explanation is known."""

import json

import numpy as np
import pytest

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.explain.registry import COMPARED
from cratelm.judges.puzzles import HARDER, HELD_OUT, parse_sentence, read_puzzles
from cratelm.validate.planted import FOUND_BY, PLANTED, find_planted
from cratelm.validate.planted_context import CONTEXT_PLANTED
from cratelm.validate.puzzles import solve_puzzles


def test_a_marked_sentence_is_its_tokens_and_their_activations() -> None:
    sentence = parse_sentence("Mr [Hale|9] saw [New York|4]!")
    assert sentence.tokens == ["Mr", " Hale", " saw", " New", " York", "!"]
    assert sentence.activations == [0, 9, 0, 4, 4, 0]


def test_the_packages_puzzles_have_a_true_and_three_false_explanations() -> None:
    puzzles = read_puzzles()
    assert len(puzzles) >= 20
    assert len({puzzle.name for puzzle in puzzles}) == len(puzzles)
    for puzzle in puzzles:
        assert len(puzzle.sentences) >= 6
        assert len({puzzle.explanation, *puzzle.false_explanations}) == 4
        silent = [sentence for sentence in puzzle.sentences if not any(sentence.activations)]
        assert puzzle.name == "first word" or silent, f"{puzzle.name} never stays silent"


NEVER_SILENT = ("sentence starts",)


def test_the_twenty_harder_puzzles_are_two_halves_of_ten_and_have_silent_sentences() -> None:
    halves = [read_puzzles(own=name) for name in (HARDER, HELD_OUT)]
    assert [len(half) for half in halves] == [10, 10]
    puzzles = [*halves[0], *halves[1]]
    assert len({puzzle.name for puzzle in [*puzzles, *read_puzzles()]}) == 42
    for puzzle in puzzles:
        assert len(puzzle.sentences) >= 8
        assert len({puzzle.explanation, *puzzle.false_explanations}) == 4
        silent = [sentence for sentence in puzzle.sentences if not any(sentence.activations)]
        assert puzzle.name in NEVER_SILENT or silent, f"{puzzle.name} never stays silent"


@pytest.mark.parametrize(("explainer", "least"), [("table", 15), ("graph", 17), ("rules", 18)])
def test_an_explainer_solves_puzzles_that_its_controls_do_not(explainer: str, least: int) -> None:
    puzzles = read_puzzles()
    solved = solve_puzzles(explainer, puzzles)
    assert sum(found.recovered for found in solved) >= least
    assert np.mean([found.control for found in solved]) < 0.3
    for control in ("random", "constant"):
        assert not any(found.recovered for found in solve_puzzles(control, puzzles))


def test_the_graph_finds_planted_units_that_no_table_of_tokens_can_hold() -> None:
    recovered = {explainer: {unit.name: unit.recovered for unit in find_planted(explainer)} for explainer in FOUND_BY}
    assert {name: sum(found.values()) for name, found in recovered.items()} == FOUND_BY  # what reports say of them
    by_table, by_graph = recovered["table"], recovered["graph"]
    assert list(by_graph) == list(PLANTED)
    for name in ("a word", "one of three words", "everything", "nothing"):
        assert by_table[name] and by_graph[name]
    for name in ("a bigram", "a word only after another", "after a comma", "after a line break", "the first token"):
        assert by_graph[name] and not by_table[name]


def test_rules_find_planted_units_of_context_that_neither_table_nor_graph_holds() -> None:
    found = {name: sum(unit.recovered for unit in find_planted(name, 0, CONTEXT_PLANTED)) for name in COMPARED}
    assert max(found.values()) <= 3
    assert sum(unit.recovered for unit in find_planted("rules", 0, CONTEXT_PLANTED)) >= 9


def test_rules_solve_harder_puzzles_that_neither_table_nor_graph_solves() -> None:
    puzzles = read_puzzles(own=HARDER)
    assert not any(unit.recovered for name in COMPARED for unit in solve_puzzles(name, puzzles))
    solved = solve_puzzles("rules", puzzles)
    assert sum(unit.recovered for unit in solved) >= 9
    assert np.mean([unit.control for unit in solved]) < 0.1


def test_the_command_prints_what_was_recovered(tmp_path, capsys) -> None:
    unit = {
        "name": "red",
        "explanation": "the word red",
        "false_explanations": ["colours", "blue", "green"],
        "sentences": ["a [red|9] hat", "the [red|9] door", "a blue hat", "one [red|5] pen"],
    }
    (tmp_path / "mine.json").write_text(json.dumps({"units": [unit]}))
    assert run(["validate", "table", "--puzzles", str(tmp_path / "mine.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["puzzles"]] == ["red"]
    assert found["puzzles"][0]["recovered"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"units": [{"name": "a"}]}',
        '{"units": [{"name": "a", "explanation": "b", "false_explanations": [], "sentences": ["never", "fires"]}]}',
    ],
)
def test_what_is_no_file_of_puzzles_is_refused(text: str, tmp_path) -> None:
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(InputError, match="holds no puzzles"):
        read_puzzles(tmp_path / "mine.json")


def test_an_explainer_that_there_is_none_of_is_refused(capsys) -> None:
    assert run(["validate", "tabel"]) == 2
    assert "choose from table, graph" in capsys.readouterr().err
