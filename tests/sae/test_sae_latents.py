"""Latents of sparse autoencoders as a model's units: read, clamped, steered, recorded; by hand and by SAELens."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cratelm.artifacts import open_artifact, read_json
from cratelm.cli import run
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.tokenizer import end_of_text_id
from cratelm.errors import InputError
from cratelm.models.load import load_causal_lm
from cratelm.records.store import read_excerpts
from cratelm.sae.attach import attach_saes
from cratelm.sae.open import load_network, read_saes, require_made_for
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.signs import known_sign
from cratelm.units.sites import LATENTS, at_sites, find_sites
from tests import language_models
from tests.shared import Shared


def test_latents_are_a_site_that_is_read_without_a_change_to_the_model(made, model):
    network, ids = load_causal_lm(model.path / "model"), torch.arange(12)[None]
    saes, seen = read_saes(made.path, "cpu"), {}
    expected, inner = network(input_ids=ids).logits, {}
    with at_sites(network, list(saes), lambda site, x: inner.update({site: x})):
        network(input_ids=ids)
    attach_saes(network, saes)
    sites = find_sites(network, LATENTS)
    assert sites == [f"{site}.sae.latents" for site in saes]
    assert all(known_sign(network, site) is False for site in sites)
    with at_sites(network, sites, lambda site, x: seen.update({site: x})):
        assert torch.equal(network(input_ids=ids).logits, expected)
    for site, sae in saes.items():
        assert torch.equal(seen[f"{site}.sae.latents"], sae.encode(inner[site]))


@pytest.mark.parametrize("substitute", [True, False], ids=["without its error", "with its error"])
def test_a_clamped_latent_moves_the_site_along_its_decoder_row(made, model, substitute):
    network, ids = load_causal_lm(model.path / "model"), torch.arange(12)[None]
    site = find_sites(network)[0]
    sae, seen = read_saes(made.path, "cpu")[site], []
    with at_sites(network, [site], lambda _, x: seen.append(x)):
        network(input_ids=ids)
    attach_saes(network, {site: sae}, substitute)
    clamp = Clamp(layer=0, unit=7, operation="set", value=2.5)
    with (
        torch.no_grad(),
        clamped(network, find_sites(network, LATENTS), [clamp]),
        at_sites(network, [site], lambda _, x: seen.append(x)),
    ):
        network(input_ids=ids)
    latents = sae.encode(seen[0])
    step = sae.decode(torch.eye(128)[7]) - sae.decode(torch.zeros(128))
    moved = (2.5 - latents[..., 7:8]) * step
    base = sae.decode(latents) if substitute else seen[0]
    torch.testing.assert_close(seen[1], base + moved, atol=1e-4, rtol=1e-4)


def test_autoencoders_of_another_model_or_site_are_refused(made, model, tokens, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(model.path, other)
    manifest = (other / "manifest.json").read_text().replace('"seed": 0', '"seed": 1')
    (other / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match="another model"):
        require_made_for(made, open_artifact(other, "model"))
    network = load_causal_lm(model.path / "model")
    sae = read_saes(made.path, "cpu")[find_sites(network)[0]]
    attach_saes(network, {"model.layers.0.attention": sae})
    with pytest.raises(InputError, match="another model or site"):
        network(input_ids=torch.arange(4)[None])


@pytest.fixture(scope="module")
def foreign(shared: Shared, corpus_file: Path) -> tuple[Path, Path]:
    """A GPT-2 of transformers' own, and autoencoders that the command trained on it from raw text."""

    def make(folder: Path) -> None:
        model, out = folder / "model", folder / "gpt2+sae"
        language_models.random_gpt2(n_positions=80).save_pretrained(model)
        language_models.bytes_tokenizer().save_pretrained(model)
        sizes = "--width 2x --k 3 --tokens 1000 --batch 100 --buffer 500 --documents 3"
        assert run(["sae", str(model), "--text", str(corpus_file), "--out", str(out), *sizes.split()]) == 0

    folder = shared.folder("foreign-saes", make)
    return folder / "model", folder / "gpt2+sae"


def test_latents_of_any_transformers_model_are_recorded_as_saelens_encodes_them(foreign, tmp_path):
    folder, out = foreign
    sizes = "--top 4 --random 4 --short-random 4 --pool 20 --histogram 4 --table-units 2"
    tokens = str(out.with_name("gpt2+sae-tokens"))
    command = ["record", str(out), "--text", tokens, "--out", str(tmp_path / "gpt2+sae"), *sizes.split()]
    assert run(command) == 0
    records = open_artifact(tmp_path / "gpt2+sae", "records")
    summary = read_json(records.path / "records.json")
    network, saes = load_causal_lm(folder).eval(), read_saes(out, "cpu")
    assert summary["model"] == "gpt2+sae"
    assert [site["site"] for site in summary["sites"]] == [f"{site}.sae.latents" for site in saes]
    start = end_of_text_id(read_tokenizer(records))
    for layer, (site, sae) in enumerate(saes.items()):
        assert summary["sites"][layer]["units"] == sae.cfg.d_sae
        seen = []
        excerpts = read_excerpts(records, layer, "explain", "random", [0, 7])
        first = np.flatnonzero(excerpts.place == 0)
        assert len(first)
        for row in first:
            ids = torch.tensor([[start, *excerpts.tokens[row]]])
            with torch.no_grad(), at_sites(network, [site], lambda _, x, seen=seen: seen.append(x)):
                network(input_ids=ids)
            latents = sae.encode(seen.pop()[0, 1:])[:, excerpts.unit[row]]
            torch.testing.assert_close(torch.tensor(excerpts.activations[row]), latents, atol=1e-4, rtol=1e-4)


def test_latents_are_steered_with_and_without_the_autoencoders_error(foreign, capsys, tmp_path):
    folder, out = foreign
    text = tmp_path / "text.txt"
    text.write_text("the cat was very good\n\na dog was not so bad\n")
    damage = {}
    for name, model, flags in (("alone", folder, ()), ("kept", out, ()), ("left out", out, ("--without-error",))):
        command = ["steer", str(model), "0/5=3", "--on", str(text), "--strengths", "1", "--json", *flags]
        assert run(command) == 0
        damage[name] = json.loads(capsys.readouterr().out)["damage"]
    unsteered = {name: rows[0]["nats_per_token"]["mean"] for name, rows in damage.items()}
    assert unsteered["kept"] == unsteered["alone"]
    assert unsteered["left out"] != unsteered["alone"]
    for name in ("kept", "left out"):
        assert damage[name][1]["nats_per_token"]["mean"] != unsteered[name]


def test_without_autoencoders_there_is_no_error_to_leave_out(foreign, capsys):
    assert run(["steer", str(foreign[0]), "0/5=3", "--prompt", "a", "--without-error"]) == 2
    assert "holds no sparse autoencoders" in capsys.readouterr().err


def test_autoencoders_on_autoencoders_are_refused(foreign, tmp_path, capsys):
    _, out = foreign
    tokens = str(out.with_name("gpt2+sae-tokens"))
    assert run(["sae", str(out), "--text", tokens, "--out", str(tmp_path / "again")]) == 2
    assert "Give the model that they were made for" in capsys.readouterr().err


def test_a_model_that_is_gone_or_another_one_now_is_refused(foreign, tmp_path, capsys):
    folder, out = foreign
    for name in ("model", "gpt2+sae"):
        shutil.copytree(folder if name == "model" else out, tmp_path / "place" / name)
    moved = tmp_path / "place" / "gpt2+sae"
    kept = read_json(moved / "sae.json") | {"model": "model"}
    (moved / "sae.json").write_text(json.dumps(kept))
    with pytest.raises(InputError, match=r"sae\.json is missing or damaged"):
        load_network(moved)
    (folder / "config.json").rename(folder / "config.json.old")
    try:
        with pytest.raises(InputError, match="another model"):
            load_network(out)
    finally:
        (folder / "config.json.old").rename(folder / "config.json")
