"""The effects stage: what is drawn, what comes out for units whose effects are known, and what is refused."""

import numpy as np
import pytest

from cratelm.artifacts import open_artifact, read_json
from cratelm.effects.config import EffectsConfig
from cratelm.effects.effects import mean_interval, measure_effects, read_effects
from cratelm.effects.points import draw_strong, draw_units, partners
from cratelm.errors import InputError
from cratelm.explain.reading import read_columns

FEW = EffectsConfig(units=5, strong=4, random=20)


@pytest.fixture(scope="module")
def parts(study):
    """A study's GPT-2, its records and its explanations."""
    return [open_artifact(study / kind / "gpt2", name) for kind, name in PARTS.items()]


PARTS = {"models": "model", "records": "records", "explanations": "explanations"}


def test_a_study_measures_the_effects_of_its_trained_models_alone(study) -> None:
    assert sorted(path.name for path in (study / "effects").iterdir()) == ["crate", "gpt2"]
    layers = read_json(study / "effects" / "crate" / "effects.json")["layers"]
    assert [layer["units"] for layer in layers] == [4, 4]
    assert {"fidelity", "as_said", "loss", "loss_elsewhere", "follows_table", "follows_activation"} <= layers[0].keys()
    table = read_json(study / "report" / "table.json")["effects"]
    assert [(row["model"], row["layer"]) for row in table] == [("crate", 0), ("gpt2", 0), ("crate", 1), ("gpt2", 1)]


def test_means_and_intervals_are_of_the_units_in_the_files(parts, tmp_path, quiet) -> None:
    made = measure_effects(FEW, *parts, tmp_path / "effects", quiet)
    for layer in read_json(made.path / "effects.json")["layers"]:
        columns = read_effects(made.path, layer["layer"])
        assert layer["loss"]["mean"] == pytest.approx(columns["loss"].mean())
        assert layer["loss"]["low"] <= layer["loss"]["mean"] <= layer["loss"]["high"]
        assert (np.abs(columns["fidelity"]) <= 1).all() and (
            (columns["as_said"] >= 0) & (columns["as_said"] <= 1)
        ).all()


def test_the_same_seed_gives_the_same_bytes_and_another_other_units(parts, tmp_path, quiet) -> None:
    first, again = (measure_effects(FEW, *parts, tmp_path / name, quiet) for name in ("a", "b"))
    assert first.manifest["outputs"] == again.manifest["outputs"]
    other = measure_effects(EffectsConfig(units=5, strong=4, random=20, seed=1), *parts, tmp_path / "c", quiet)
    assert read_effects(other.path, 0)["unit"].tolist() != read_effects(first.path, 0)["unit"].tolist()


def test_explanations_of_other_records_and_records_of_another_model_are_refused(study, parts, tmp_path, quiet) -> None:
    model, records, _ = parts
    others = open_artifact(study / "explanations" / "crate", "explanations")
    with pytest.raises(InputError, match="made of other records"):
        measure_effects(FEW, model, records, others, tmp_path / "out", quiet)
    crate = open_artifact(study / "models" / "crate", "model")
    with pytest.raises(InputError, match="made of another model"):
        measure_effects(FEW, crate, *parts[1:], tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_what_follows_an_explanation_is_known_of_the_explained_units_alone(parts, tmp_path, quiet) -> None:
    few = EffectsConfig(units=20, strong=4, random=20, attributed=0)
    columns = read_effects(measure_effects(few, *parts, tmp_path / "effects", quiet).path, 0)
    explained = read_columns(parts[2].path / "rules-0.parquet")["unit"]
    known = np.isin(columns["unit"], explained)
    assert 0 < known.sum() < len(known)
    assert np.array_equal(np.isfinite(columns["follows_rules"]), known)


def test_strong_positions_are_above_half_of_the_maximum_and_the_highest_where_these_are_few() -> None:
    generator = np.random.default_rng(0)
    activations = np.r_[np.zeros(50), np.linspace(0.1, 1, 50)]
    drawn = draw_strong(activations, EffectsConfig(strong=10), generator)
    assert len(drawn) == 10 and (activations[drawn] >= 0.5).all()
    rare = np.r_[1.0, 0.2, np.zeros(8)]
    assert draw_strong(rare, EffectsConfig(strong=4), generator).tolist() == [0, 1]


def test_a_partner_is_another_unit_with_the_nearest_firing_rate() -> None:
    rates = [0.5, 0.1, 0.48, 0.0, 0.12]
    activations = np.stack([np.arange(100) < 100 * rate for rate in rates], axis=1).astype(float)
    assert draw_units(activations, 9, np.random.default_rng(0)).tolist() == [0, 1, 2, 4]
    assert partners(activations, np.array([0, 1, 2, 4])).tolist() == [2, 4, 0, 1]


def test_the_interval_of_a_mean_is_unknown_for_one_unit_and_leaves_out_what_is_not_known() -> None:
    assert mean_interval(np.array([1.0, np.nan]), 0) == {"mean": None, "low": None, "high": None}
    assert mean_interval(np.array([1.0, 3.0, np.nan]), 0)["mean"] == 2.0
