"""A model in memory: its activations are the model's own, and clamps hold wherever it is run."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cratelm
from cratelm.errors import InputError
from cratelm.sae.open import open_with_latents
from cratelm.units.clamp import Clamp
from cratelm.units.steer import steer
from tests import language_models

TEXT = "the film was good"


def test_activations_are_what_a_hook_sees(model: cratelm.LoadedModel) -> None:
    seen: list[torch.Tensor] = []
    site = model.network.get_submodule(model.sites[1].name)
    hook = site.register_forward_hook(lambda module, given, output: seen.append(output))
    acts = model.activations(TEXT)
    hook.remove()
    assert np.array_equal(acts[1], seen[0][0, 1:].numpy())
    assert acts["1/7"].tolist() == seen[0][0, 1:, 7].tolist()
    assert "".join(acts.tokens) == TEXT


def test_top_units_are_those_with_the_highest_activations(model: cratelm.LoadedModel) -> None:
    acts = model.activations(TEXT)
    every = {
        f"{layer}/{unit}": acts[layer][:, unit].max()
        for layer, site in enumerate(acts.sites)
        for unit in range(site.units)
    }
    top = acts.top(5)
    assert [peak.activation for peak in top] == sorted(every.values(), reverse=True)[:5]
    assert all(peak.activation == every[peak.unit] == acts[peak.unit][peak.position] for peak in top)
    assert all(acts.tokens[peak.position] == peak.token for peak in top)


def test_a_frame_has_a_row_a_token_and_a_column_a_unit(model: cratelm.LoadedModel) -> None:
    acts = model.activations(TEXT)
    frame = acts.frame()
    assert frame.index.get_level_values("token").tolist() == acts.tokens
    assert frame["1/7"].tolist() == acts["1/7"].tolist()


def test_a_model_without_a_start_token_is_refused_and_loses_no_token(tmp_path: Path) -> None:
    language_models.random_gpt2().save_pretrained(tmp_path)
    language_models.bytes_tokenizer(start=False).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no token to begin a text with"):
        cratelm.load(tmp_path).activations("the film")


def test_every_frame_without_pandas_says_how_to_install_it(model: cratelm.LoadedModel, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for made in (model.activations(TEXT), model.why("1/3", TEXT)):
        with pytest.raises(InputError, match="pip install"):
            made.frame()


def test_negative_parts_of_a_signed_site_are_units_of_their_own(folder: Path) -> None:
    model = cratelm.load(folder)
    (acts,) = [model.activations("hello")[0]]
    half = model.sites[0].units // 2
    assert model.sites[0].signed and (acts >= 0).all() and acts[:, half:].any()
    unit = int(acts[:, half:].max(0).argmax())
    with model.clamp({f"0/{half + unit}": 3}):
        clamped = model.activations("hello")
    assert (clamped[f"0/{half + unit}"] == 3).all() and not clamped[f"0/{unit}"].any()


def test_a_studys_model_has_the_units_that_were_recorded(opened: cratelm.OpenedStudy, study: Path) -> None:
    recording = cratelm.open(study / "records/gpt2")
    assert isinstance(recording, cratelm.OpenedRecording)
    sites = [(site["site"], site["units"], site["signed"]) for site in recording.sites]
    assert [(site.name, site.units, site.signed) for site in opened.model("gpt2").sites] == sites


def test_clamped_text_is_that_of_steer_and_ends_with_the_context(model: cratelm.LoadedModel) -> None:
    network, tokenizer = open_with_latents(model.folder, False)
    names = [site.name for site in model.sites]
    clamps = [Clamp.parse("0/3=50"), Clamp.parse("1/7*=2")]
    said = steer(network, tokenizer, names, clamps, TEXT, new_tokens=6)
    with model.clamp({"0/3": 50}, "1/7*=2"):
        assert model.generate(TEXT, new_tokens=6) == said.steered_continuation
    assert model.generate(TEXT, new_tokens=6) == said.continuation


def test_clamps_hold_for_probabilities_and_for_the_network_itself(model: cratelm.LoadedModel) -> None:
    plain = dict(model.next_tokens(TEXT, 300))
    with model.clamp({"1/3": 50}) as same:
        assert dict(same.next_tokens(TEXT, 300)) != plain
    assert dict(model.next_tokens(TEXT, 300)) == plain
    assert sum(plain.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ((), "no unit is named"),
        (({"9/3": 1},), "no layer 9"),
        (({"0/9999": 1},), "no unit 9999"),
        (({"0/3": float("nan")},), "cannot be held at"),
        (("0/3@0=8",), "leave out @PLACES"),
        (("nonsense",), "does not say what to do"),
    ],
)
def test_a_clamp_of_nothing_is_refused(model: cratelm.LoadedModel, units: tuple, said: str) -> None:
    with pytest.raises(InputError, match=said), model.clamp(*units):
        pass


@pytest.mark.parametrize("address", ["9", "9/3", "0/9999", "0/3/4", "x", "-1", ""])
def test_activations_of_no_unit_are_refused(model: cratelm.LoadedModel, address: str) -> None:
    with pytest.raises(InputError, match="there is no"):
        model.activations(TEXT)[address]


def test_a_text_that_cannot_be_read_is_refused(model: cratelm.LoadedModel) -> None:
    with pytest.raises(InputError, match="the text is empty"):
        model.activations("")
    with pytest.raises(InputError, match="the model reads"):
        model.activations("good " * 5000)


@pytest.mark.parametrize("text", [["the film", "was"], None, 5, b"the film"])
def test_only_one_text_is_taken_at_a_time(model: cratelm.LoadedModel, text: object) -> None:
    asked = [model.activations, model.generate, model.next_tokens, lambda given: model.why("0/3", given)]
    for ask in asked:
        with pytest.raises(InputError, match=r"not a string\. Give one text at a time"):
            ask(text)  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no folder nowhere/at-all"):
        cratelm.load("nowhere/at-all")
