"""Autoencoders and analyses of a model in few bits: near those in float32, and computed in float32 themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cratelm.artifacts import Artifact, read_json
from cratelm.cli import run
from cratelm.sae.train import train_saes
from tests.sae_models import CONFIG


def test_autoencoders_of_a_model_in_few_bits_cost_it_about_as_much(model, made, tokens, tmp_path, quiet) -> None:
    found = train_saes(replace(CONFIG, dtype="bfloat16"), model, tokens, tmp_path / "sae", quiet)
    quality, expected = (read_json(sae.path / "quality.json") for sae in (found, made))
    assert found.config["dtype"] == "bfloat16"
    assert quality["clean_loss"] != expected["clean_loss"]
    assert quality["clean_loss"] == pytest.approx(expected["clean_loss"], abs=0.02)
    assert quality["together"]["sae_loss"] == pytest.approx(expected["together"]["sae_loss"], abs=0.1)


@pytest.mark.parametrize("error", [[], ["--without-error"]])
def test_latents_on_a_model_in_few_bits_are_steered(error, made: Artifact, capsys) -> None:
    changes = {}
    for dtype in ("float32", "bfloat16"):
        asked = ["steer", str(made.path), "0/7=2.5", "--prompt", "the film", "--dtype", dtype, "--json", *error]
        assert run(asked) == 0
        changes[dtype] = json.loads(capsys.readouterr().out)["steered"]["divergence"]
    assert changes["float32"] != changes["bfloat16"]
    assert changes["bfloat16"] == pytest.approx(changes["float32"], rel=0.3, abs=0.01)


def test_latents_on_a_model_in_few_bits_are_recorded(made: Artifact, tokens: Artifact, tmp_path: Path) -> None:
    few = ["--tokens", "2000", "--pool", "20", "--top", "4", "--random", "4", "--short-random", "4", "--logits", "2"]
    asked = ["record", str(made.path), "--text", str(tokens.path), *few, "--dtype", "bfloat16"]
    assert run([*asked, "--out", str(tmp_path / "records")]) == 0
    sites = read_json(tmp_path / "records" / "records.json")["sites"]
    assert [site["site"].endswith(".sae.latents") for site in sites] == [True, True]


def test_an_analysis_in_few_bits_is_near_that_in_float32(model, tokens, tmp_path, capsys) -> None:
    rows = {}
    for dtype in ("float32", "bfloat16"):
        out = tmp_path / dtype
        asked = ["analyze", str(model.path), "--text", str(tokens.path), "--tokens", "2000", "--dtype", dtype]
        assert run([*asked, "--out", str(out), "--json"]) == 0
        rows[dtype] = json.loads(capsys.readouterr().out)["rows"]
    for found, expected in zip(rows["bfloat16"], rows["float32"], strict=True):
        for name in ("rate_before", "rate_after", "hoyer", "coherence"):
            assert found[name] == pytest.approx(expected[name], rel=0.05, abs=0.02)
