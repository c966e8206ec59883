"""Other people's autoencoders: read as SAELens reads them, through TransformerLens's bridge, on two kinds of model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens import SAE, JumpReLUSAE, JumpReLUSAEConfig, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.transcoder import SkipTranscoder, SkipTranscoderConfig
from sae_lens.saes.transcoder import Transcoder, TranscoderConfig
from transformer_lens.model_bridge import TransformerBridge

from cratelm.artifacts import open_artifact, read_json
from cratelm.cli import run
from cratelm.corpus.model_tokenizer import model_start
from cratelm.models.load import load_causal_lm
from cratelm.protocols import LONG
from cratelm.records.store import read_excerpts
from cratelm.sae.attach import attach_saes
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.hook_points import site_of_hook
from cratelm.units.sites import LATENTS, at_sites, find_sites
from tests.models.test_every_family import TEXTS, saved
from tests.shared import Shared

KINDS = ("gpt_neox", "llama")
SMALL = "--pool 50 --context 96 --top 4 --random 4 --short-random 4 --histogram 4 --table-units 2".split()
MADE = {
    "standard": (StandardSAE, StandardSAEConfig, {}),
    "topk": (TopKSAE, TopKSAEConfig, {"k": 5}),
    "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig, {}),
    "transcoder": (Transcoder, TranscoderConfig, {"d_out": 16, "apply_b_dec_to_input": False}),
    "skip_transcoder": (SkipTranscoder, SkipTranscoderConfig, {"d_out": 16, "apply_b_dec_to_input": False}),
}


def autoencoder(hook: str, kind: str = "standard", told: dict | None = None, **settings) -> SAE:
    """An autoencoder with random weights, 40 latents wide."""
    torch.manual_seed(len(hook))
    made, configuration, own = MADE[kind]
    metadata = SAEMetadata(hook_name=hook, context_size=128, prepend_bos=True, **(told or {}))
    sae = made(configuration(**{"d_in": 16, "d_sae": 40, "metadata": metadata} | own | settings))
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
        if kind == "jumprelu":
            sae.threshold.abs_()
    return sae.eval()


def several() -> dict[str, SAE]:
    """One at each hook point that counts, and each setting that changes what is read."""
    return {
        "a": autoencoder("blocks.0.hook_resid_pre", "topk"),
        "b": autoencoder("blocks.0.attn.hook_z", reshape_activations="hook_z"),
        "c": autoencoder("blocks.0.hook_mlp_out", "jumprelu", normalize_activations="layer_norm"),
        "d/e": autoencoder("blocks.1.hook_resid_post", apply_b_dec_to_input=False, dtype="bfloat16"),
        "f": autoencoder("blocks.1.hook_attn_out", normalize_activations="constant_norm_rescale"),
        "g": autoencoder("blocks.1.mlp.hook_in", "transcoder", {"hook_name_out": "blocks.1.hook_mlp_out"}),
    }


@pytest.fixture(scope="module", params=KINDS)
def placed(request, shared: Shared) -> Path:
    """A model, autoencoders that SAELens saved for it, and their latents' records."""

    def make(folder: Path) -> None:
        saved(request.param, folder / "tiny")
        (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
        for name, sae in several().items():
            sae.save_model(folder / "saes" / name)
        text, out = str(folder / "text.jsonl"), str(folder / "out")
        command = ["record", str(folder / "tiny"), "--text", text, "--sae", str(folder / "saes"), "--out", out]
        assert run([*command, *SMALL, "--logits", "3"]) == 0

    return shared.folder(f"public-{request.param}", make)


def test_recorded_latents_are_what_saelens_encodes_of_transformerlens_s_activations(placed: Path) -> None:
    records, start = open_artifact(placed / "out", "records"), model_start(placed / "tiny")
    bridge = TransformerBridge.boot_transformers(str(placed / "tiny"), device="cpu", dtype=torch.float32)
    theirs = {sae.cfg.metadata.hook_name: sae for sae in _loaded(placed / "saes")}
    order = sorted(theirs, key=lambda hook: hook.split(".")[1])
    tokens = np.fromfile(placed / "out-tokens" / "score.ds", "<u2").astype(np.int64)
    sites = [site["site"] for site in read_json(records.path / "records.json")["sites"]]
    network = load_causal_lm(placed / "tiny")
    named = {site_of_hook(network, hook).removesuffix(":in") + ".sae.latents": hook for hook in order}
    assert sorted(sites) == sorted(named)
    for layer, site in enumerate(sites):
        excerpts = read_excerpts(records, layer, "score", "top", range(0, 40, 7))
        assert len(excerpts.unit)
        for row in range(0, len(excerpts.unit), 5):
            first = excerpts.start[row] - excerpts.place[row]
            ids = torch.tensor([[start, *tokens[first : excerpts.start[row] + LONG]]])
            with torch.no_grad():
                _, cache = bridge.run_with_cache(ids, prepend_bos=False)
                latents = theirs[named[site]].encode(cache[named[site]])[0, -LONG:, excerpts.unit[row]]
            np.testing.assert_allclose(excerpts.activations[row], latents.numpy(), atol=1e-5, rtol=1e-5)


def _loaded(folder: Path) -> list[SAE]:
    return [SAE.load_from_disk(file.parent, dtype="float32") for file in folder.rglob("cfg.json")]


def test_the_records_say_where_the_autoencoders_came_from_and_they_can_be_opened_without_it(placed, tmp_path, capsys):
    came = open_artifact(placed / "out-sae", "sae").config
    assert came["folder"] == str(placed / "saes")
    assert sorted(came["files"])[:2] == ["a/cfg.json", "a/sae_weights.safetensors"]
    assert len(came["files"]) == 12
    shutil.copytree(placed, tmp_path / "moved", symlinks=True)
    shutil.rmtree(tmp_path / "moved" / "saes")
    for flags in ([], ["--without-error"]):
        command = ["steer", str(tmp_path / "moved" / "out-sae"), "2/3=4", "--prompt", "the film was", *flags]
        assert run(command) == 0
        assert "the film was" in " ".join(capsys.readouterr().out.split())


def test_latents_go_on_to_explanations_scores_and_pages(placed, tmp_path, capsys) -> None:
    text, out = str(placed / "text.jsonl"), tmp_path / "out"
    small = ["--records.pool", "50", "--records.context", "96", "--score.replicates", "100"]
    given = ["--sae", str(placed / "saes" / "a"), "--text", text, "--out", str(out)]
    assert run(["measure", str(placed / "tiny"), *given, *small]) == 0
    assert "mean [95%]" in capsys.readouterr().out
    assert run(["show", str(out), "tiny+sae/0/3"]) == 0
    assert run(["steer", str(out / "models" / "tiny+sae"), "0/3=4", "--prompt", "the film was"]) == 0
    assert run(["view", str(out), "--export", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "data" / "0" / "0" / "3.js").is_file()
    assert run(["measure", str(placed / "tiny"), *given, *small]) == 0
