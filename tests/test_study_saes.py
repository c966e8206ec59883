"""`cratelm study --sae`: the latents are models of their own, beside the models, at equal cost."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cratelm.artifacts import open_artifact, read_json
from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.presets import StudyConfig
from cratelm.sae.config import StudySaeConfig
from cratelm.study import run_study
from tests.shared import Shared
from tests.study_copies import grown_copy

SAES = StudySaeConfig(dictionaries="1x-k4,2x-k16", tokens=3000, batch=100, buffer=800, documents=6)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def with_saes(study: Path, small_study: StudyConfig, shared: Shared, quiet) -> Path:
    """The small study with autoencoders of two sizes: its models are there already."""
    config = replace(small_study, sae=True, saes=SAES)
    return shared.folder("two-sizes", lambda out: grown_copy(study, config, out / "study", quiet)) / "study"


def test_the_latents_of_each_dictionary_are_scored_as_a_model_and_so_are_those_before_training(with_saes):
    table = read_json(with_saes / "report" / "table.json")
    latents = [f"{model}+sae-{size}" for model in ("crate", "gpt2") for size in ("1x-k4", "2x-k16")]
    assert list(dict.fromkeys(row["model"] for row in table["rows"])) == ["crate", "gpt2", *latents]
    assert [row["model"] for row in table["models"]] == ["crate", "gpt2"]
    for row in table["rows"]:
        if row["layer"] == 0:
            every = 128 if "2x" in row["model"] else 64
            assert row["units"] == (16 if row["metric"] == "whole-text" else every)  # those with a token table
        assert row["random_weights"] is not None
    for name in latents:
        base = open_artifact(with_saes / "models" / f"{name.partition('+')[0]}-untrained", "model")
        control = open_artifact(with_saes / "models" / f"{name}-untrained", "sae")
        assert control.manifest["inputs"]["model"] == base.sha256


def test_one_endpoint_is_primary_and_all_others_are_corrected_together(with_saes):
    found = read_json(with_saes / "report" / "table.json")["differences"]
    primary = [(row["model"], row["rival"], row["metric"], row["explainer"]) for row in found if row["primary"]]
    assert primary == [("crate", "gpt2", "random-only", "table")]
    assert {(row["model"], row["rival"]) for row in found if row["model"] == "gpt2"} == {
        ("gpt2", "gpt2+sae-1x-k4"),
        ("gpt2", "gpt2+sae-2x-k16"),
    }
    second = [(row["model"], row["rival"], row["metric"], row["explainer"]) for row in found if row["second"]]
    assert second == [("crate", "gpt2", "whole-text", "table")]
    rest = sorted((row for row in found if not row["primary"]), key=lambda row: row["p"])
    assert rest[0]["p_holm"] == pytest.approx(min(1, rest[0]["p"] * len(rest)))


def test_the_report_shows_what_quality_measured_and_draws_the_frontier(with_saes):
    table = read_json(with_saes / "report" / "table.json")
    page = (with_saes / "report" / "report.html").read_text()
    assert "Interpretability against loss paid" in page
    for row in table["autoencoders"]:
        quality = read_json(with_saes / "models" / row["model"] / "quality.json")
        if row["layer"] == "all":
            assert row["delta_loss"] == quality["together"]["delta_loss"]
            assert f"{row['delta_loss']['mean']:z.4f} [" in page
        else:
            site = list(quality["sites"].values())[row["layer"]]
            assert row["l0"] == site["l0"] <= row["k"]
            assert row["explained_variance"] == site["explained_variance"]


def test_scores_at_equal_delta_loss_lie_on_the_line_between_the_dictionaries(with_saes):
    table = read_json(with_saes / "report" / "table.json")
    cost = {row["model"]: row["delta_loss"]["mean"] for row in table["autoencoders"] if row["layer"] == "all"}
    score = {(row["model"], row["metric"]): row["score"]["mean"] for row in table["rows"] if row["layer"] == "all"}
    ranges = [sorted(value for name, value in cost.items() if name.startswith(model)) for model in ("crate", "gpt2")]
    overlap = max(low for low, _ in ranges), min(high for _, high in ranges)
    assert bool(table["equal_delta_loss"]) == (overlap[0] <= overlap[1])
    for row in table["equal_delta_loss"]:
        assert row["delta_loss"] == pytest.approx(np.mean(overlap))
        for model, key in (("crate", "score"), ("gpt2", "rival_score")):
            names = sorted((name for name in cost if name.startswith(model)), key=cost.__getitem__)
            line = [cost[name] for name in names], [score[name, row["metric"]] for name in names]
            assert row[key]["mean"] == pytest.approx(np.interp(row["delta_loss"], *line))
        assert row["difference"]["mean"] == pytest.approx(row["score"]["mean"] - row["rival_score"]["mean"])


@pytest.mark.parametrize(
    ("dictionaries", "reason"),
    [("4x", "write WIDTH-kK"), ("1x-k4,1x-k4", "twice"), ("0x-k4", "1x as many"), ("1x-k0", "1 or more")],
)
def test_dictionaries_that_are_none_are_refused(dictionaries, reason):
    with pytest.raises(InputError, match=reason):
        StudySaeConfig(dictionaries=dictionaries)


def test_a_k_above_the_width_is_refused_before_anything_is_made(small_study, tmp_path, quiet):
    config = replace(small_study, sae=True, saes=replace(SAES, dictionaries="1x-k65"))
    with pytest.raises(InputError, match="has 64 latents"):
        run_study(config, tmp_path / "study", quiet)
    assert not (tmp_path / "study").exists()


def test_latents_are_shown_and_exported_as_other_units_are(with_saes, tmp_path, capsys) -> None:
    records = with_saes / "records" / "crate+sae-2x-k16"
    assert run(["show", str(with_saes), "crate+sae-2x-k16/1/5", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["site"].endswith(".sae.latents")
    for name in ("neuron-record", "neuronpedia"):
        assert run(["export", str(records), "--format", name, "--out", str(tmp_path / name)]) == 0
    written = json.loads((tmp_path / "neuron-record" / "collated-activations" / "1" / "5.json").read_text())
    top = [
        excerpt["activations"]
        for excerpt in known["excerpts"]
        if (excerpt["half"], excerpt["kind"]) == ("explain", "top")
    ]
    assert [one["activations"] for one in written["most_positive_activation_records"]] == [
        one for one in top if len(one) == 64
    ]
    features = [
        feature["feature_index"]
        for path in (tmp_path / "neuronpedia" / "1").glob("batch-*.json")
        for feature in json.loads(path.read_text())["features"]
    ]
    skipped = json.loads((tmp_path / "neuronpedia" / "1" / "skipped_indexes.json").read_text())["skipped_indexes"]
    assert sorted(features + skipped) == list(range(128))
