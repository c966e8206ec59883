"""The stages as functions: the settings of the command line, the same files, metrics from a notebook."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import cratelm
from cratelm.artifacts import claim_study
from cratelm.corpus.config import CorpusConfig
from cratelm.errors import InputError
from cratelm.interface.added_metrics import MeanOverExcerpts, fingerprint
from cratelm.interface.changed_settings import changed
from cratelm.presets import PRESETS, StudyConfig
from cratelm.progress import Progress
from cratelm.score.excerpt_sums import Series
from cratelm.score.positions import Positions
from cratelm.score.registry import METRICS
from cratelm.study import run_study
from cratelm.training.config import TrainingConfig

SMALL = {"tokens": 2000, "pool": 20, "top": 6, "random": 6, "short_random": 6}


def test_settings_are_those_of_the_command_line() -> None:
    made = changed(PRESETS["smoke"], {"corpus": "my.txt", "training": {"tokens": 5}, "seed": 3, "llm": "judge.gguf"})
    assert (made.corpus.corpus, made.corpus.tokenizer) == ("my.txt", "bpe:1024")
    assert (made.training.tokens, made.training.evaluations) == (5, 4)
    assert (made.seed, made.judge.llm) == (3, "judge.gguf")


def test_a_part_may_be_given_whole() -> None:
    corpus, training = CorpusConfig("my.txt"), TrainingConfig(tokens=7)
    made = changed(StudyConfig(), {"corpus": corpus, "training": training})
    assert (made.corpus, made.training) == (corpus, training)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sed": 1}, "no setting 'sed'. Did you mean seed"),
        ({"training": {"token": 1}}, "no setting 'token'. Did you mean tokens"),
        ({"training": {"tokens": "many"}}, "TrainingConfig.tokens is 'many'; it must be a whole number"),
        ({"training": 5}, "it must be a table of settings"),
        ({"score_share": 2}, "CorpusConfig.score_share"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        changed(StudyConfig(), settings)


def test_the_stages_give_what_the_commands_give(study: Path, tmp_path: Path) -> None:
    from cratelm.cli import run

    model, tokens = study / "models/crate", study / "tokens"
    recording = cratelm.record(model, text=tokens, out=tmp_path / "a", **SMALL)
    options = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert run(["record", str(model), "--text", str(tokens), "--out", str(tmp_path / "b"), *options]) == 0
    other = cratelm.open(tmp_path / "b")
    assert isinstance(other, cratelm.OpenedRecording)
    assert recording.artifact.manifest["outputs"] == other.artifact.manifest["outputs"]


def test_a_measured_model_opens_as_a_study_of_one(study: Path, tmp_path: Path) -> None:
    asked = {"records": SMALL, "explain": {"explainer": "table"}, "score": {"metric": "random-only", "replicates": 100}}
    made = cratelm.measure(study / "models/crate", out=tmp_path / "neurons", text=str(study / "tokens"), **asked)
    assert made.models == ["crate"]
    assert "random-only" in made._repr_html_()


@pytest.fixture
def added():
    """Metrics that a test adds are gone after it."""
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


@pytest.mark.usefixtures("added")
def test_a_metric_of_a_notebook_is_the_mean_over_excerpts_with_a_control_and_an_interval(study, tmp_path) -> None:
    @cratelm.metric
    def mean_error(true, simulated):
        """how far off"""
        return float(np.abs(true - simulated).mean())

    assert mean_error(np.ones(2), np.zeros(2)) == 1  # it stays a function

    parts = study / "records/crate", study / "explanations/crate"
    scores = cratelm.score(*parts, out=tmp_path / "scores", metric="mean-error", replicates=100)
    frame = scores.frame.query("explainer == 'table' and layer == 0 and status == 'scored'")
    unit = cratelm.OpenedStudy(study).unit(f"crate/0/{frame.unit.iloc[0]}")
    drawn = unit.excerpts("random", half="score")
    drawn = [one for one in drawn if len(one.tokens) == max(len(one.tokens) for one in drawn)][:5]
    by_hand = np.mean([np.abs(one.activations - one.expected["table"]).mean() for one in drawn])
    assert frame.score.iloc[0] == pytest.approx(by_hand, rel=1e-5)
    assert frame.shuffled.notna().all()
    assert list((tmp_path / "scores").glob("replicates-0.safetensors"))


def test_a_metric_of_a_layer_whose_every_answer_failed_has_no_score() -> None:
    nothing = np.empty(0, np.int64)
    series = Series(Positions(nothing, nothing, np.empty(0), np.zeros((2, 5), np.int64)), np.empty(0))
    sums = MeanOverExcerpts(lambda true, simulated: 1.0, "random-only")._sums(series)
    assert np.isnan(sums.scores()).all()


@pytest.mark.usefixtures("added")
def test_another_metric_of_the_same_name_does_not_get_the_scores_of_the_first(study: Path, tmp_path: Path) -> None:
    parts = study / "records/crate", study / "explanations/crate"
    cratelm.metric(name="mine")(lambda true, simulated: 1.0)
    cratelm.score(*parts, out=tmp_path / "scores", metric="mine", replicates=100)
    cratelm.score(*parts, out=tmp_path / "scores", metric="mine", replicates=100)
    cratelm.metric(name="mine")(lambda true, simulated: 2.0)
    with pytest.raises(InputError, match="metric_versions"):
        cratelm.score(*parts, out=tmp_path / "scores", metric="mine", replicates=100)


@pytest.mark.usefixtures("added")
@pytest.mark.slow
@pytest.mark.usefixtures("added")
def test_a_study_of_two_models_takes_a_metric_of_this_session(
    study: Path, small_study: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cratelm.metric(name="mine")(lambda true, simulated: float(true.max()))
    monkeypatch.setattr(sys.modules["cratelm.study"], "ENOUGH_TEXT", 0)  # as if there were text for two processes
    monkeypatch.setattr(sys.modules["cratelm.study"], "cores_for", lambda jobs: (2, 1))
    measured = replace(
        small_study, score=replace(small_study.score, metric="top-and-random,random-only,anthropic,whole-text,mine")
    )
    claim_study(tmp_path / "study", measured)
    for made in ("tokens", "models", "records", "explanations", "effects"):
        shutil.copytree(study / made, tmp_path / "study" / made)
    run_study(measured, tmp_path / "study", Progress(Console(quiet=True)))
    scores = cratelm.open(tmp_path / "study").scores
    assert {"crate", "gpt2"} <= set(scores.model[scores.metric == "mine"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "auroc"}, "a metric 'auroc' already"),
        ({"name": "Not A Name"}, "cannot be the name of a metric"),
        ({"name": "mine", "excerpts": "all"}, "no excerpts 'all'"),
    ],
)
def test_a_metric_that_cannot_be_added_is_refused(asked: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cratelm.metric(**asked)(lambda true, simulated: 1.0)


@pytest.mark.usefixtures("added")
def test_a_metric_that_gives_no_number_is_named(study: Path, tmp_path: Path) -> None:
    cratelm.metric(name="mine")(lambda true, simulated: float("nan"))
    parts = study / "records/crate", study / "explanations/crate"
    with pytest.raises(InputError, match="gave nan on an excerpt"):
        cratelm.score(*parts, out=tmp_path / "scores", metric="mine", replicates=100)


def test_a_functions_fingerprint_is_of_its_code_and_not_of_where_it_stands() -> None:
    def made(source: str):
        space: dict = {}
        exec(source, space)
        return fingerprint(space["f"].__code__)

    one = "def f(a, b): return max(x for x in a if x in {'p', 'q', 'r'})"
    assert made(one) == made(f"\n\n{one}") != made(one.replace("max", "min"))
    assert made(one) != made(one.replace("'r'", "'s'"))
