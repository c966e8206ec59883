"""Explanations in words: explained, read, scored, planned, resumed, with judges by rule."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import pearsonr

from cratelm.artifacts import Artifact, claim_study, open_artifact
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain, read_sentences
from cratelm.explain.explainers.llm import count_failures
from cratelm.judges.ask_for_explanations import parse_explanation
from cratelm.judges.sentences import Sentences
from cratelm.judges.simulators import Failure
from cratelm.llm.words import CUT_OFF
from cratelm.progress import Progress
from cratelm.records.store import read_units
from cratelm.score.config import ScoreConfig
from cratelm.score.score import read_scores, score
from cratelm.study import run_study
from cratelm.study_plan import plan_study
from tests.llm_server import StandIn
from tests.rule_judge import NAMED, ByRule
from tests.test_study import drawn_excerpts

UNITS = 3


def made(records: Artifact, model: ByRule, tmp_path: Path, quiet: Progress, metric: str) -> Artifact:
    """The scores of a few units, explained and read by one model."""
    config = ExplainConfig(explainer="llm", llm_units=UNITS)
    said = explain(config, records, tmp_path / "said", quiet, NAMED, model)
    config = ScoreConfig(metric=metric, replicates=100, puzzles=str(puzzles(tmp_path)))
    return score(config, records, said, tmp_path / "scored", quiet, judge=NAMED, model=model)


def puzzles(folder: Path) -> Path:
    """One puzzle, whose rivals a judge that does not hear the explanation cannot tell from the truth."""
    unit = {"name": "film", "explanation": "films", "false_explanations": ["cold", "wet", "dry"]}
    sentences = ["a [film|9] star", "the [film|9] was long", "a blue hat"]
    (folder / "mine.json").write_text(json.dumps({"units": [unit | {"sentences": sentences}]}))
    return folder / "mine.json"


@pytest.fixture
def records(study: Path) -> Artifact:
    """Those of the study's first model."""
    return open_artifact(study / "records" / "crate", "records")


@pytest.mark.parametrize("metric", ["top-and-random", "random-only"])
def test_a_score_is_the_correlation_with_what_the_judge_said(records, tmp_path, quiet, metric) -> None:
    scores = read_scores(made(records, ByRule(), tmp_path, quiet, metric))
    texts = np.array([9.0 * ("film" in text) for text in token_texts(read_tokenizer(records))])
    assert len(scores["unit"]) == UNITS * 2
    for layer, unit, found in zip(scores["layer"], scores["unit"], scores["score"], strict=True):
        drawn = drawn_excerpts(records, int(layer), int(unit), metric)
        truth = np.concatenate([activations for _, activations, _ in drawn])
        expected = np.concatenate([texts[tokens] for tokens, _, _ in drawn])
        assert found == pytest.approx(pearsonr(truth, expected)[0] if truth.any() else 0, abs=1e-6)


def test_excerpts_that_failed_are_left_out_counted_and_never_zeros(records, tmp_path, quiet) -> None:
    model = ByRule(broken="awful")
    artifact = made(records, model, tmp_path, quiet, "random-only")
    scores = read_scores(artifact)
    trial = json.loads((artifact.path / "judge.json").read_text())
    names, films = token_texts(read_tokenizer(records)), []
    films = np.array([9.0 * ("film" in text) for text in names])
    failures = 0
    for row, (layer, unit) in enumerate(zip(scores["layer"], scores["unit"], strict=True)):
        drawn = drawn_excerpts(records, int(layer), int(unit), "random-only")
        shown = ["\n".join(names[token] for token in tokens) for tokens, _, _ in drawn]
        usable = [excerpt for excerpt, text in zip(drawn, shown, strict=True) if "awful" not in text]
        failures += len(drawn) - len(usable)
        assert scores["failed"][row] == len(drawn) - len(usable)
        if 2 * len(usable) <= len(drawn):
            assert scores["status"][row] in ("failed", "dead")
            assert np.isnan(scores["score"][row]) or scores["status"][row] == "dead"
        elif scores["status"][row] == "scored":
            truth = np.concatenate([activations for _, activations, _ in usable])
            expected = np.concatenate([films[tokens] for tokens, _, _ in usable])
            assert scores["score"][row] == pytest.approx(pearsonr(truth, expected)[0], abs=1e-6)
    assert failures
    assert sum(trial["failures"].values()) >= failures


def test_a_unit_whose_explanation_failed_has_no_score(records, tmp_path, quiet) -> None:
    scores = read_scores(made(records, ByRule(dumb=UNITS), tmp_path, quiet, "random-only"))
    alive = scores["status"] != "dead"
    assert set(scores["status"][alive]) == {"failed"}
    assert np.isnan(scores["score"][alive]).all()


def test_only_a_drawn_sample_is_asked_about_and_has_words(records, tmp_path, quiet) -> None:
    made(records, ByRule(), tmp_path, quiet, "random-only")
    said = open_artifact(tmp_path / "said", "explanations")
    units = pq.read_table(said.path / "llm-openai-0.parquet")["unit"].to_pylist()
    sentences = read_sentences(said, 0, "llm")
    assert [unit for unit, sentence in enumerate(sentences) if sentence is not None] == units
    assert len(units) == UNITS


def test_strength_9_stands_for_the_highest_activation_that_was_shown(records) -> None:
    highest = read_units(records, 0, "explain")["maximum"]

    class Reader:
        texts = ["a film", "b"]

        def read(self, questions):
            return {number: [9.0, 4.5] for number in range(len(questions))}

    words = Sentences({2: "films", 3: None}, frozenset([5]), highest, Reader())  # type: ignore[arg-type]
    found = words.simulate(np.array([2, 3, 5]), np.array([[0, 1]] * 3), np.zeros(3, int))
    np.testing.assert_allclose(found[0], [highest[2], highest[2] / 2])
    assert np.isnan(found[1]).all(), "a failure is no zero"
    assert (found[2] == 0).all(), "a unit that never fired is expected to be silent"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (" words about rain.\n\nmore", "words about rain"),
        ("This unit responds to rain.", "rain"),
        (" \n", Failure("no words")),
        ("", Failure("no words")),
    ],
)
def test_an_explanation_is_the_first_line_of_an_answer(said: str, expected: str | Failure) -> None:
    assert parse_explanation(said) == expected


def commands(study: Path, tmp_path: Path, url: str) -> tuple[list[str], list[str]]:
    """Explaining and scoring a few units of the study's first model by a server."""
    records = str(study / "records" / "crate")
    asked = ["--llm", url, "--answers", str(tmp_path / "answers.sqlite")]
    explained = ["explain", records, "--out", str(tmp_path / "said"), "--explainer", "llm", "--llm-units", str(UNITS)]
    scored = ["score", records, "--explanations", str(tmp_path / "said"), "--out", str(tmp_path / "scored")]
    settings = ["--metric", "random-only,auroc", "--replicates", "100", "--puzzles", str(puzzles(tmp_path))]
    return [*explained, *asked], [*scored, *asked, *settings]


def test_a_plan_says_exactly_what_is_then_sent_and_a_second_run_sends_nothing(study, tmp_path, capsys) -> None:
    server = StandIn(word="film")
    for command in commands(study, tmp_path, server.url):
        assert run([*command, "--plan", "--price", "2"]) == 0
        planned = capsys.readouterr().out
        assert "Nothing was sent" in planned
        assert "price" in planned
        before = prompts_seen(server)
        assert run(command) == 0
        sent = prompts_seen(server) - before
        assert f"{sent:,} requests" in planned
        out = Path(command[command.index("--out") + 1])
        out.rename(out.with_name(f"{out.name}-first"))
        assert run(command) == 0
        assert prompts_seen(server) - before == sent, "what was answered is not asked again"
        for file in sorted(out.glob("*.parquet")):
            assert file.read_bytes() == (out.with_name(f"{out.name}-first") / file.name).read_bytes()
    shown = capsys.readouterr().out
    assert "llm (FAILS)" in shown
    assert "its numbers say nothing" in shown
    server.shutdown()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"message": {"content": None}}, "no words"),
        ({"message": {"content": "<think>\nOkay, so"}, "finish_reason": "length"}, CUT_OFF),
    ],
)
def test_explanations_without_words_are_counted_by_reason_and_shown(study, tmp_path, capsys, said, reason) -> None:
    server = StandIn(("chat",), word="film")
    server.said = said
    explained, _ = commands(study, tmp_path, server.url)
    assert run(explained) == 0
    artifact = open_artifact(tmp_path / "said", "explanations")
    kept = count_failures(artifact)
    assert set(kept) == {reason}
    assert f"{kept[reason]} explanations could not be used: {reason}" in capsys.readouterr().out
    assert not {"None", "<think>"} & set(read_sentences(artifact, 0, "llm"))
    server.shutdown()


def prompts_seen(server: StandIn) -> int:
    """Requests that are longer than the probes' few characters."""
    return sum(len(json.dumps(body)) > 500 for _, body, _ in server.seen)


def test_words_without_anybody_to_say_or_to_read_them_are_refused(study, tmp_path, capsys) -> None:
    server = StandIn()
    explained, scored = commands(study, tmp_path, server.url)
    at = explained.index("--llm")
    assert run([*explained[:at], *explained[at + 2 :]]) == 2
    assert "--llm" in capsys.readouterr().err
    assert run(explained) == 0
    at = scored.index("--llm")
    assert run([*scored[:at], *scored[at + 2 :]]) == 2
    assert "--llm" in capsys.readouterr().err
    assert run([*scored, "--workers", "2"]) == 2
    assert "--concurrency" in capsys.readouterr().err
    assert run([*scored, "--simulator", "lisping"]) == 2
    server.shutdown()


def test_a_study_with_a_judge_reports_it_beside_its_controls_and_goes_on_without_asking(
    study, small_study, tmp_path, quiet
) -> None:
    settings = {"explain": ExplainConfig(llm_units=UNITS), "judge": NAMED}
    scoring = ScoreConfig(replicates=100, puzzles=str(puzzles(tmp_path)))
    config, model = replace(small_study, **settings, score=scoring), ByRule(broken="awful")
    for made in ("tokens", "models", "records"):  # which do not depend on what is explained and scored
        shutil.copytree(study / made, tmp_path / "study" / made)
    claim_study(tmp_path / "study", config)
    artifact = run_study(config, tmp_path / "study", quiet, model)
    table = json.loads((artifact.path / "table.json").read_text())
    found = [(row["model"], row["metric"], row["layer"]) for row in table["judged"]]
    metrics = ("top-and-random", "random-only")
    assert found == [(name, metric, at) for name in ("crate", "gpt2") for metric in metrics for at in (0, 1, "all")]
    for row in table["judged"]:
        scores = open_artifact(tmp_path / "study" / "judged" / "scores" / row["model"], "scores")
        mine = read_scores(scores)
        rows = (mine["metric"] == row["metric"]) & (mine["layer"] == row["layer"])
        assert row["units"] == UNITS * (2 if row["layer"] == "all" else 1)
        assert row["judge"] == "by rule (FAILS)"
        if row["layer"] != "all" and row["score"]["mean"] is not None:
            assert row["score"]["mean"] == pytest.approx(np.nanmean(mine["score"][rows]))
            assert row["failed_excerpts"] == mine["failed"][rows].sum()
    page = (artifact.path / "report.html").read_text()
    assert "by rule (FAILS)" in page
    assert "could not be used" in page
    asked = model.asked
    run_study(config, tmp_path / "study", quiet, model)
    assert model.asked == asked


def test_the_plan_of_a_study_is_the_most_that_it_asks(small_study, tmp_path, quiet) -> None:
    config = replace(small_study, explain=ExplainConfig(llm_units=UNITS))
    config = replace(config, score=ScoreConfig(puzzles=str(puzzles(tmp_path))))
    per_unit = 2 + 2 * 10  # two evidences; 5 top and 5 random excerpts, read with the unit's own words and another's
    assert plan_study(config, 0, quiet).requests == 4 * 3 + 2 * 2 * 2 * UNITS * per_unit
