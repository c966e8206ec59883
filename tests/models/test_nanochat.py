"""CRATE-alpha of nanochat-crate-a comes in with the logits of its equations, and is measured like any model of ours."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from cratelm.artifacts import open_artifact
from cratelm.cli import run
from cratelm.corpus.model_tokenizer import model_start
from cratelm.models.load import load_causal_lm
from cratelm.models.nanochat import import_nanochat
from cratelm.records.store import read_excerpts
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.directions import unit_directions
from cratelm.units.signs import known_sign
from cratelm.units.sites import at_sites, find_sites
from cratelm.units.unembedding import token_effects
from tests.formulas import nanochat_logits, root_mean_square
from tests.models.test_every_family import TEXTS
from tests.models.test_official import Hostile
from tests.nanochat_checkpoints import HEADS, LAYERS, LENGTH, D, V, saved, tokenizer, weights

CODES = [f"model.layers.{layer}.coding.code" for layer in range(LAYERS)]
FORMS = {
    "as it is trained": ({}, {}),
    "without a sliding window": ({"window_pattern": None}, {"pattern": "L"}),
    "another pattern": ({"window_pattern": "sl"}, {"pattern": "SL"}),
    "a soft threshold": ({"odl_use_relu": False, "ista_mode": "soft_threshold"}, {"relu": False}),
    "no residual": ({"odl_use_residual": False}, {"residual": False}),
}


def ids(length: int = LENGTH) -> torch.Tensor:
    return torch.randint(V, (length,), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize("form", FORMS)
def test_an_imported_checkpoint_has_the_logits_and_codes_of_the_equations(form, prefix, tmp_path) -> None:
    settings, formula = FORMS[form]
    tensors = weights()
    tensors["transformer.wte.weight"] = tensors["transformer.wte.weight"].bfloat16()  # as a GPU leaves it
    model = import_nanochat(saved(tensors, tmp_path, prefix=prefix, **settings)).eval()
    expected, codes = nanochat_logits(tensors, ids(), HEADS, LENGTH, V, **formula)
    assert 8 < expected.abs().max() < 15 and expected.std() > 1.5
    seen: dict[str, torch.Tensor] = {}
    assert find_sites(model) == find_sites(model, "mlp.neurons") == CODES
    with torch.no_grad(), at_sites(model, CODES, lambda site, output: seen.__setitem__(site, output[0].clone())):
        torch.testing.assert_close(model(ids()[None]).logits[0], expected, atol=1e-5, rtol=1e-5)
    for site, code in zip(CODES, codes, strict=True):
        torch.testing.assert_close(seen[site], code, atol=1e-5, rtol=1e-5)
        assert known_sign(model, site) is (False if form != "a soft threshold" else None)


def test_windows_are_shorter_than_the_text_and_the_cap_bends_its_logits(tmp_path) -> None:
    """Otherwise the comparison above would show neither."""
    whole, _ = nanochat_logits(weights(), ids(), HEADS, LENGTH, V, pattern="L")
    windowed, _ = nanochat_logits(weights(), ids(), HEADS, LENGTH, V)
    half = LENGTH // 2 + 1  # a token and as many before it as a window holds
    torch.testing.assert_close(whole[:half], windowed[:half])
    assert ((whole - windowed)[half:].abs().amax(-1) > 1e-2).all()
    bent = 15 * torch.atanh(windowed.double() / 15) - windowed
    assert bent.abs().max() > 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_shortest_contexts_have_the_logits_of_the_equations(length, tmp_path) -> None:
    model = import_nanochat(saved(weights(), tmp_path, sequence_len=length)).eval()
    expected, _ = nanochat_logits(weights(), ids(length), HEADS, length, V)
    torch.testing.assert_close(model(ids(length)[None]).logits[0], expected, atol=1e-5, rtol=1e-5)


def test_a_unit_of_the_last_layer_changes_the_logits_as_its_direction_predicts(tmp_path) -> None:
    model, last = import_nanochat(saved(weights(), tmp_path)).eval(), CODES[-1]
    expected = weights()[f"transformer.h.{LAYERS - 1}.odl.D_dec.weight"].T
    directions = unit_directions(model, last)
    torch.testing.assert_close(directions, expected, atol=1e-5, rtol=1e-4)
    assert token_effects(model, directions) is not None
    seen: dict[str, torch.Tensor] = {}
    block = last.removesuffix(".coding.code")
    with (
        torch.no_grad(),
        at_sites(model, [last, block], lambda site, output: seen.__setitem__(site, output[0].clone())),
    ):
        before = model(ids()[None]).logits[0]
    head = weights()["lm_head.weight"][:V]
    for unit in seen[last].sum(0).topk(3).indices.tolist():
        hidden = seen[block] - seen[last][:, unit, None] * expected[unit]
        predicted = 15 * torch.tanh(root_mean_square(hidden) @ head.T / 15)
        with torch.no_grad(), clamped(model, CODES, [Clamp(layer=LAYERS - 1, unit=unit, operation="set", value=0.0)]):
            after = model(ids()[None]).logits[0]
        assert (after - before).abs().max() > 0.05
        torch.testing.assert_close(after, predicted, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A folder with two steps, an optimizer, and a tokenizer.json, over texts of 128 tokens."""
    folder = tmp_path_factory.mktemp("nanochat") / "d2"
    own = tokenizer(TEXTS[:50])
    rows = own.get_vocab_size()
    saved({}, folder, step=5)
    saved(weights(rows, layers=2), folder, 20, vocab_size=rows, n_layer=2, sequence_len=128)
    (folder / "optim_000020_rank0.pt").write_bytes(b"not read")
    own.save(str(folder / "tokenizer.json"))
    return folder


def test_a_checkpoint_goes_from_its_folder_to_pages_of_neurons(checkpoint, tmp_path, capsys) -> None:
    model, out = tmp_path / "alpha", tmp_path / "out"
    assert run(["import", str(checkpoint), str(model)]) == 0
    assert "model_000020.pt" in (model / "README.md").read_text()
    (tmp_path / "text.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
    text = str(tmp_path / "text.jsonl")
    small = ["--records.pool", "50", "--records.context", "96", "--records.logits", "3", "--score.replicates", "100"]
    assert run(["measure", str(model), "--text", text, "--out", str(out), *small]) == 0
    _require_codes_of_the_equations(checkpoint, model, out)
    assert run(["show", str(out), "alpha/1/3"]) == 0
    assert run(["steer", str(model), "1/3=4", "--prompt", "the film was"]) == 0
    assert "the film was" in " ".join(capsys.readouterr().out.split())
    assert run(["eval", str(model), "--on", text, "--documents", "5"]) == 0
    assert "context 128" in capsys.readouterr().out
    assert run(["analyze", str(model), "--text", str(out / "tokens"), "--out", str(tmp_path / "theory")]) == 0
    assert run(["view", str(out), "--export", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "data" / "0" / "1" / "units-0.js").is_file()


def _require_codes_of_the_equations(checkpoint: Path, model: Path, out: Path) -> None:
    """Compare the excerpts that were kept of some units with the codes that the equations give."""
    tensors = torch.load(checkpoint / "model_000020.pt", weights_only=True)
    rows, start = load_causal_lm(model).config.vocab_size, model_start(model)
    tokens = np.fromfile(out / "tokens" / "score.ds", "<u2").astype(np.int64)
    excerpts = read_excerpts(open_artifact(out / "records" / "alpha", "records"), 1, "score", "top", range(4))
    assert len(excerpts.unit)
    for row in range(0, len(excerpts.unit), 7):
        length = excerpts.activations.shape[1]
        first = excerpts.start[row] - excerpts.place[row]
        context = torch.from_numpy(tokens[first : excerpts.start[row] + length])
        _, codes = nanochat_logits(tensors, torch.cat([torch.tensor([start]), context]), HEADS, 128, rows)
        assert np.allclose(excerpts.activations[row], codes[1][-length:, excerpts.unit[row]].numpy(), atol=1e-4)


def test_texts_begin_with_the_token_that_begins_a_document_in_nanochat(checkpoint, tmp_path) -> None:
    assert run(["import", str(checkpoint / "model_000020.pt"), str(tmp_path / "model")]) == 0
    own = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert own.convert_ids_to_tokens(model_start(tmp_path / "model")) == own.eos_token == "<|bos|>"


def no_meta(folder: Path) -> None:
    (folder / "meta_000010.json").unlink()


def gpt(folder: Path) -> None:
    saved({"transformer.h.0.attn.c_q.weight": torch.ones(D, D)}, folder)


def hostile(folder: Path) -> None:
    torch.save({"x": Hostile(folder / "ran")}, folder / "model_000010.pt")


def hostile_pickle(folder: Path) -> None:
    (folder / "model_000010.pt").write_bytes(pickle.dumps({"x": Hostile(folder / "ran")}))


def changed(tensor: str, value: object):
    return lambda folder: saved(weights() | {tensor: value}, folder)


def without(tensor: str):
    return lambda folder: saved({name: of for name, of in weights().items() if name != tensor}, folder)


def stating(**settings):
    return lambda folder: saved(weights(), folder, **settings)


BAD = {
    "meta_000010.json: there is no such file": no_meta,
    "holds no CRATE-alpha: no tensor is named transformer.h.0.odl.D_enc.weight": gpt,
    "it asks for more than tensors (it could run code), and was not loaded": hostile,
    "cannot be read as a checkpoint of tensors alone": hostile_pickle,
    "model_000010.pt is not a checkpoint of nanochat: it holds no state dict":
        lambda folder: torch.save([1], folder / "model_000010.pt"),
    "lacks transformer.h.2.odl.threshold.": without("transformer.h.2.odl.threshold"),
    "lacks resid_lambdas.": without("resid_lambdas"),
    "has unknown value_embeds.1.weight.": changed("value_embeds.1.weight", torch.ones(2)),
    "lm_head.weight is not a tensor": changed("lm_head.weight", 3),
    "x0_lambdas is of torch.int8": changed("x0_lambdas", torch.ones(LAYERS, dtype=torch.int8)),
    "is stored without its numbers": changed("x0_lambdas", torch.ones(LAYERS).to("meta")),
    "numbers that are not finite": changed("x0_lambdas", torch.full((LAYERS,), torch.nan)),
    "holds x0_lambdas twice": changed("_orig_mod.x0_lambdas", torch.ones(LAYERS)),
    "odl.D_enc.weight has the shape (96, 24), and meta_000010.json says (48, 24)": stating(odl_expansion=2),
    "transformer.wte.weight has the shape (64, 24), and meta_000010.json says (128, 24)": stating(vocab_size=70),
    "lacks transformer.h.5.mssa.c_proj.weight, transformer.h.5.mssa.qkv.weight": stating(n_layer=6),
    "model_config has no 'n_head'": stating(n_head=None),
    "model_config gives n_head '3'; it must be a whole number": stating(n_head="3"),
    "model_config gives n_layer 1000000000000; it must be a whole number from 1 to 1,000": stating(n_layer=10**12),
    "model_config gives n_embd 1000000000000; it must be a whole number from 1 to": stating(n_embd=10**12),
    "model_config gives n_layer True; it must be a whole number": stating(n_layer=True),
    "model_config gives odl_use_relu 'yes', where True is usual": stating(odl_use_relu="yes"),
    "model_config gives window_pattern 'SXL'; it is made of L and S": stating(window_pattern="SXL"),
    "model_config has rope_theta, which CRATE-alpha does not know": stating(rope_theta=1),
    "is not a multiple of num_attention_heads 5": stating(n_head=5),
    "rotary positions turn pairs of coordinates": stating(n_head=8),
    "has no `model_config` that could be used":
        lambda folder: (folder / "meta_000010.json").write_text('{"step": 10}'),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_a_bad_checkpoint_is_refused_in_one_line_and_runs_nothing(message, checkpoint, tmp_path, capsys) -> None:
    folder, out = tmp_path / "d5", tmp_path / "out"
    saved(weights(), folder)
    BAD[message](folder)
    assert run(["import", str(folder), str(out), "--tokenizer", str(checkpoint)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said and len(said.split(". ")) <= 3, said
    assert not out.exists() and not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "holds no tokenizer.json. Give --tokenizer FILE; nanochat's tokenizer.pkl can run code"),
        (("--tokenizer", "{checkpoint}"), "tokens, and {file} was trained with 61: it belongs to another model"),
        (("--tokenizer", "{folder}/tokenizer.pkl"), "tokenizer.pkl is not a tokenizer"),
        (("--tokenizer", "nowhere"), "no tokenizer at nowhere: give a tokenizer.json or a folder that holds one"),
        (("--activation", "relu"), "leave --activation out"),
        (("--tokenizer", "{checkpoint}", "model_000011.pt"), "model_000011.pt: there is no such file"),
        (("--to-official",), "holds no model: config.json is missing"),
        (("--to-official", "--tokenizer", "x"), "leave --activation and --tokenizer out"),
    ],
)
def test_a_tokenizer_is_never_guessed_or_unpickled(more, message, checkpoint, tmp_path, capsys) -> None:
    folder = tmp_path / "d5"
    places = {"checkpoint": checkpoint, "folder": folder, "file": saved(weights(), folder)}
    (folder / "tokenizer.pkl").write_bytes(pickle.dumps(Hostile(folder / "ran")))
    more = [option.format(**places) for option in more]
    source = folder / more.pop() if more[-1:] == ["model_000011.pt"] else folder
    assert run(["import", str(source), str(tmp_path / "out"), *more]) == 2
    assert message.format(**places) in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists() and not (folder / "ran").exists()
