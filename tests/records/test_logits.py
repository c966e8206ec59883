"""`record --logits`: what each unit's writing does to the next token, against the weights themselves."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from cratelm.artifacts import open_artifact
from cratelm.cli import run
from cratelm.models.subject import model_folder
from cratelm.records.logits import read_logits
from cratelm.sae.open import load_network
from cratelm.units.directions import unit_directions
from cratelm.units.unembedding import token_effects
from tests.shared import Shared


@pytest.fixture(scope="module", params=["crate", "gpt2"])
def recorded(study: Path, request, shared: Shared) -> tuple[Path, Path]:
    """A model of the study and a short recording of it with four tokens each way."""
    model = study / "models" / request.param

    def make(out: Path) -> None:
        arguments = ["record", str(model), "--text", str(study / "tokens"), "--out", str(out / "records")]
        assert run([*arguments, "--tokens", "3000", "--logits", "4"]) == 0

    return model, shared.folder(f"logits-{request.param}", make) / "records"


def test_raised_and_lowered_tokens_follow_from_the_weights(recorded) -> None:
    folder, out = recorded
    model = load_network(model_folder(open_artifact(folder, "model")))
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    head = weights["lm_head.weight"]
    for layer in (0, 1):
        name = f"model.layers.{layer}."
        crate = folder.name == "crate"
        writes = weights[name + "coding.dictionary"] if crate else weights[name + "mlp.down_proj.weight"].T
        writes = (writes - writes.mean(1, keepdims=True)) * weights["model.norm.weight"]
        effects = writes @ head.T
        effects -= effects.mean(1, keepdims=True)
        found = read_logits(open_artifact(out, "records"), layer)
        assert sorted(found) == list(range(64))
        for unit, row in found.items():
            assert row["raised"] == np.argsort(-effects[unit], kind="stable")[:4].tolist()
            assert row["lowered"] == np.argsort(effects[unit], kind="stable")[:4].tolist()
            np.testing.assert_allclose(row["raised_by"], effects[unit][row["raised"]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("maker", "sites", "rows"),
    [
        ("gpt2", "*.mlp.c_proj", 16),
        ("gpt2", "*.attn", 16),
        ("llama", "*.mlp.act_fn", 0),
        ("llama", "*.mlp.down_proj", 16),
    ],
)
def test_a_site_has_a_row_a_unit_or_none_where_no_direction_is_fixed(maker, sites, rows, tokens, tmp_path, capsys):
    torch.manual_seed(0)
    if maker == "gpt2":
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 80, "bos_token_id": 0, "eos_token_id": 0}
        model = GPT2LMHeadModel(GPT2Config(vocab_size=300, **sizes))
    else:
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=300, max_position_embeddings=80, **sizes))
    model.save_pretrained(tmp_path / "model")
    shutil.copyfile(tokens.path / "tokenizer.json", tmp_path / "model" / "tokenizer.json")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps(settings))
    arguments = ["record", str(tmp_path / "model"), "--text", str(tokens.path), "--out", str(tmp_path / "out")]
    options = ["--top", "4", "--random", "4", "--short-random", "4", "--pool", "20", "--table-units", "2"]
    assert run([*arguments, *options, "--sites", sites, "--tokens", "3000", "--logits", "3"]) == 0
    records = open_artifact(tmp_path / "out", "records")
    signed = [site["signed"] for site in json.loads((records.path / "records.json").read_text())["sites"]]
    for layer in (0, 1):
        # Signed units come in pairs that write the opposite of each other.
        found = read_logits(records, layer)
        assert len(found) == rows * (1 + signed[layer])
        if rows:
            assert found[0]["raised"] == found[rows]["lowered"]
    assert ("is not known at" in " ".join(capsys.readouterr().err.split())) == (rows == 0)


def test_they_are_shown_and_exported_as_text(recorded, tmp_path, capsys) -> None:
    _, out = recorded
    assert run(["show", str(out), "1/5", "--json"]) == 0
    logits = json.loads(capsys.readouterr().out)["logits"]
    assert run(["show", str(out), "1/5"]) == 0
    assert f"raised: '{logits['raised'][0].strip()}" in capsys.readouterr().out.replace("␣", "").replace("' ", "'")
    assert run(["export", str(out), "--format", "neuronpedia", "--out", str(tmp_path / "out")]) == 0
    features = json.loads((tmp_path / "out" / "1" / "batch-0.json").read_text())["features"]
    (feature,) = [feature for feature in features if feature["feature_index"] == 5]
    assert (feature["pos_str"], feature["neg_str"]) == (logits["raised"], logits["lowered"])
    np.testing.assert_allclose(feature["neg_values"], logits["lowered_by"], atol=1e-5)


def test_without_them_there_is_no_file_and_a_negative_number_is_refused(study, tmp_path, capsys) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    assert not (records.path / "logits.parquet").exists()
    assert read_logits(records, 0) == {}
    text = str(study / "tokens")
    assert (
        run(["record", str(study / "models" / "crate"), "--text", text, "--out", str(tmp_path), "--logits", "-1"]) == 2
    )
    assert "--logits. It must be 0 or more" in " ".join(capsys.readouterr().err.split())


def test_the_effects_of_a_direction_do_not_depend_on_those_asked_about_with_it(study) -> None:
    model = load_network(model_folder(open_artifact(study / "models" / "crate", "model")))
    directions = unit_directions(model, "model.layers.1.coding.code")
    assert directions is not None
    several, alone = token_effects(model, directions[:3]), token_effects(model, directions[2])
    assert several is not None
    assert alone is not None
    torch.testing.assert_close(several[2], alone)
