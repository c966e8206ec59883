"""Other people's autoencoders: read as SAELens reads them, through TransformerLens's bridge, on two kinds of model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens import SAE, JumpReLUSAE, JumpReLUSAEConfig, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.transcoder import SkipTranscoder, SkipTranscoderConfig, Transcoder, TranscoderConfig
from safetensors.torch import save_file
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
from tests.corpus.test_hub import served
from tests.foreign_models import random_model
from tests.models.test_every_family import TEXTS, saved
from tests.shared import Shared

KINDS = ("gpt_neox", "llama")
FEW = ["--top", "4", "--random", "4", "--short-random", "4", "--histogram", "4", "--table-units", "2"]
SMALL = ["--pool", "50", "--context", "96", *FEW]
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


def made(kind: str, shared: Shared) -> Path:
    """A model, its text, autoencoders that SAELens saved for it, and their latents' records."""

    def make(folder: Path) -> None:
        saved(kind, folder / "tiny")
        (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
        for name, sae in several().items():
            sae.save_model(folder / "saes" / name)
        text, out = str(folder / "text.jsonl"), str(folder / "out")
        command = ["record", str(folder / "tiny"), "--text", text, "--sae", str(folder / "saes"), "--out", out]
        assert run([*command, *SMALL, "--logits", "3"]) == 0

    return shared.folder(f"public-{kind}", make)


@pytest.fixture(scope="module", params=KINDS)
def placed(request, shared: Shared) -> Path:
    return made(request.param, shared)


@pytest.fixture(scope="module")
def llama(shared: Shared) -> Path:
    return made("llama", shared)


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
    assert (tmp_path / "page" / "data" / "0" / "0" / "units-0.js").is_file()
    assert run(["measure", str(placed / "tiny"), *given, *small]) == 0


def hidden(network, ids: torch.Tensor, *sites: str) -> list[torch.Tensor]:
    """What passes at some sites."""
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad(), at_sites(network, sites, lambda site, output: seen.__setitem__(site, output.clone())):
        network(input_ids=ids)
    return [seen[site] for site in sites]


IDS = torch.arange(12)[None] + 3
TRANSCODED = ("model.layers.1.mlp:in", "model.layers.1.mlp")


@pytest.mark.parametrize("kind", ["transcoder", "skip_transcoder"])
@pytest.mark.parametrize("substitute", [False, True])
def test_a_transcoder_s_latents_write_its_decoder_rows_where_it_writes(kind, substitute) -> None:
    network = random_model("llama")
    sae = autoencoder("blocks.1.mlp.hook_in", kind, {"hook_name_out": "blocks.1.hook_mlp_out"})
    x, y = hidden(network, IDS, *TRANSCODED)
    attach_saes(network, {TRANSCODED[0]: sae}, substitute)
    with torch.no_grad():
        expected = sae(x) if substitute else y
    torch.testing.assert_close(hidden(network, IDS, *TRANSCODED)[1], expected, atol=1e-6, rtol=1e-6)
    with clamped(network, find_sites(network, LATENTS), [Clamp(layer=0, unit=7, operation="add", value=2.5)]):
        read, written = hidden(network, IDS, *TRANSCODED)
    assert torch.equal(read, x)
    torch.testing.assert_close(written, expected + 2.5 * sae.W_dec[7], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scaling", ["layer_norm", "constant_norm_rescale"])
def test_a_clamped_latent_goes_back_at_the_scale_that_the_activation_had(scaling) -> None:
    network, site = random_model("llama"), "model.layers.1"
    sae = autoencoder("blocks.1.hook_resid_post", normalize_activations=scaling)
    (x,) = hidden(network, IDS, site)
    attach_saes(network, {site: sae})
    with clamped(network, find_sites(network, LATENTS), [Clamp(layer=0, unit=7, operation="add", value=2.5)]):
        (moved,) = hidden(network, IDS, site)
    scale = (
        (x - x.mean(-1, keepdim=True)).std(-1, keepdim=True)
        if scaling == "layer_norm"
        else x.norm(dim=-1)[..., None] / 4
    )
    torch.testing.assert_close(moved, x + 2.5 * scale * sae.W_dec[7], atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::UserWarning")  # SAELens's, that the model should be loaded so
@pytest.mark.parametrize("hook", ["blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out", "blocks.1.mlp.hook_post"])
def test_an_autoencoder_of_a_model_with_centred_weights_reads_what_that_model_would_give(hook) -> None:
    network, centred = random_model("gpt2"), random_model("gpt2")
    with torch.no_grad():  # as TransformerLens does it: whatever writes into the hidden states is centred
        for name, weight in centred.named_parameters():
            if name.endswith(("wte.weight", "wpe.weight", "c_proj.weight", "c_proj.bias")):
                weight.sub_(weight.mean(-1, keepdim=True))
    width = 64 if hook.endswith("hook_post") else 16
    sae = autoencoder(hook, told={"model_from_pretrained_kwargs": {"center_writing_weights": True}}, d_in=width)
    site = site_of_hook(network, hook)
    (x,), (theirs,) = hidden(network, IDS, site), hidden(centred, IDS, site)
    attach_saes(network, {site: sae})
    (latents,) = hidden(network, IDS, f"{site.removesuffix(':in')}.sae.latents")
    with torch.no_grad():
        torch.testing.assert_close(latents, sae.encode(theirs), atol=1e-5, rtol=1e-5)
    assert (hook.endswith("hook_post")) == torch.allclose(x, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("saes", "message"),
    [
        ([autoencoder("blocks.0.hook_mlp_in")], "reads or writes blocks.0.hook_mlp_in"),
        ([autoencoder("blocks.0.hook_resid_post", d_in=24)], "24 coordinates, model.layers.0 gives 16"),
        ([autoencoder("blocks.0.hook_resid_post", normalize_activations="expected_average_only_in")], "Fold the scale"),
        ([autoencoder("blocks.0.hook_resid_post", told={"hook_head_index": 1})], "hook_head_index 1"),
        ([autoencoder("blocks.0.hook_resid_post", told={"seqpos_slice": [3, 9]})], "seqpos_slice"),
        (
            [autoencoder("blocks.0.hook_resid_post", told={"model_from_pretrained_kwargs": {"fold_ln": True}})],
            "model_from_pretrained_kwargs fold_ln",
        ),
        ([autoencoder("blocks.0.mlp.hook_in", "transcoder")], "hook_name_out None"),
        ([autoencoder("blocks.0.hook_resid_pre"), autoencoder("blocks.0.hook_resid_post")], "two autoencoders read"),
        ([], "holds no autoencoder"),
    ],
    ids=["hook", "width", "scale", "head", "places", "processing", "output", "two", "none"],
)
def test_what_cannot_be_read_as_it_was_trained_is_refused_in_one_line(saes, message, llama, tmp_path, capsys) -> None:
    (tmp_path / "saes").mkdir()
    for number, sae in enumerate(saes):
        sae.save_model(tmp_path / "saes" / str(number))
    assert message in refused(llama, tmp_path, capsys, "--sae", str(tmp_path / "saes"))


def refused(llama: Path, tmp_path: Path, capsys, *arguments: str) -> str:
    """What is said of a recording that cannot be; it leaves no folder."""
    out = ["--text", str(llama / "out-tokens"), "--out", str(tmp_path / "out")]
    assert run(["record", str(llama / "tiny"), *out, *SMALL, *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("cratelm: ") == 1
    assert not list(tmp_path.glob("out*"))
    return said


def test_a_damaged_autoencoder_and_an_unknown_name_are_refused(llama, tmp_path, capsys) -> None:
    autoencoder("blocks.0.hook_resid_post").save_model(tmp_path / "saes")
    (tmp_path / "saes" / "sae_weights.safetensors").write_bytes(b"none")
    assert "SAELens cannot open the autoencoder" in refused(llama, tmp_path, capsys, "--sae", str(tmp_path / "saes"))
    for name, message in (
        ("nothing/here", "there is no such folder. Give one, or RELEASE/ID"),
        ("gpt2-small-res-jb", "Its ids begin with blocks.0.hook_resid_pre"),
        ("gpt2-small-res-jb/nonsense", "nonsense not found in release"),
        ("gpt2-small-res-jb/blocks.8.hook_resid_pre", "The hub is off; HF_HUB_OFFLINE=0 turns it on"),
        ("owner/name/id", "The hub is off"),
    ):
        assert message in refused(llama, tmp_path, capsys, "--sae", name)


@pytest.mark.parametrize(
    ("told", "message"),
    [({"context_size": 64}, "Give --context 64"), ({"prepend_bos": False}, "Give --protocol paper")],
)
def test_text_that_is_read_otherwise_than_in_training_is_refused(told, message, llama, tmp_path, capsys) -> None:
    sae = autoencoder("blocks.0.hook_resid_post")
    for name, value in told.items():
        setattr(sae.cfg.metadata, name, value)
    sae.save_model(tmp_path / "saes")
    out = ["--text", str(llama / "out-tokens"), "--out", str(tmp_path / "out")]
    assert run(["record", str(llama / "tiny"), *out, *SMALL, "--sae", str(tmp_path / "saes")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.processes
def test_an_autoencoder_of_the_hub_is_the_one_of_its_folder(llama, tmp_path) -> None:
    shutil.copytree(llama / "saes", tmp_path / "repository")
    save_file({"sparsity": torch.zeros(40)}, tmp_path / "repository" / "d" / "e" / "sparsity.safetensors")
    with served(tmp_path / "repository", refusals=0) as address:
        allowed = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        out = ["--text", str(llama / "out-tokens"), "--out", str(tmp_path / "out")]
        command = ["record", str(llama / "tiny"), "--sae", "owner/name/d/e", *out, *SMALL]
        environment = os.environ | allowed | {"HF_HUB_DISABLE_XET": "1"}
        program = [sys.executable, "-c", "from cratelm.cli import main; main()"]
        result = subprocess.run([*program, *command], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    came = open_artifact(tmp_path / "out-sae", "sae")
    assert (came.config["release"], came.config["sae_id"]) == ("owner/name", "d/e")
    theirs = SAE.load_from_disk(llama / "saes" / "d" / "e", dtype="float32").state_dict()
    ours = SAE.load_from_disk(tmp_path / "out-sae" / "0").state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
