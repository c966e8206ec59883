"""Whether a site's units are split by sign: decided by its class, or else by all the text; told either way."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import ACT2CLS, ACT2FN

from cratelm.artifacts import Artifact
from cratelm.cli import run
from cratelm.loading import Loading
from cratelm.models.subject import ForeignModel
from cratelm.records.config import RecordConfig
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.units.signs import known_sign

OPTIONS = ["--top", "4", "--random", "4", "--short-random", "4", "--pool", "20", "--histogram", "4"]
OPTIONS += ["--table-units", "2", "--tokens", "3000"]


def gpt2(folder: Path, tokens: Artifact, activation: str) -> Path:
    torch.manual_seed(0)
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 80, "activation_function": activation}
    GPT2LMHeadModel(GPT2Config(vocab_size=300, bos_token_id=0, eos_token_id=0, **shape)).save_pretrained(folder)
    shutil.copyfile(tokens.path / "tokenizer.json", folder / "tokenizer.json")
    return folder


def is_negative_somewhere(activation: nn.Module) -> bool:
    return bool((activation(torch.linspace(-30, 30, 6001)) < 0).any())


@pytest.mark.parametrize("name", [name for name in ACT2CLS if name != "xielu"])
def test_what_is_known_of_an_activation_is_true(name: str) -> None:
    model = nn.Sequential(ACT2FN[name])
    known = known_sign(model, "0")
    assert known is None or known == is_negative_somewhere(model)


@pytest.mark.parametrize(("name", "units"), [("relu2", 64), ("laplace", 64), ("relu", 64), ("gelu", 128)])
def test_an_activation_that_is_never_negative_gets_one_unit_a_coordinate(name, units, tokens, tmp_path) -> None:
    recording = Recording(RecordConfig(tokens=3000), gpt2(tmp_path / "model", tokens, name), tokens)
    (site,) = recording.sites
    assert (site.units, site.signed, site.signs) == (units, units == 128, "known")


def test_an_identity_that_is_called_hidden_in_another_model_is_not_taken_for_ours() -> None:
    model = nn.ModuleDict({"hidden": nn.Identity(), "code": nn.Identity()})
    assert known_sign(model, "hidden") is None
    assert known_sign(model, "code") is None


class Distance(nn.Module):
    """Of no known class, and never negative."""

    def forward(self, x):
        return x.abs()


class RarelyNegative(nn.Module):
    """Negative at one token of the text alone."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x.abs() - int(self.calls == 5)


@pytest.mark.parametrize(("kind", "signed", "units"), [(Distance, False, 64), (RarelyNegative, True, 128)])
def test_the_sign_of_an_unknown_class_is_seen_in_all_the_text_and_told(
    kind, signed, units, tokens, tmp_path, quiet, monkeypatch
) -> None:
    folder = gpt2(tmp_path / "model", tokens, "relu")
    said: list[str] = []
    monkeypatch.setattr(quiet, "say", said.append)

    def load(path: Path, loading: Loading):
        network = GPT2LMHeadModel.from_pretrained(path).eval()
        network.transformer.h[0].mlp.act = kind()
        return network

    monkeypatch.setattr("cratelm.records.recording.load_network", load)
    sizes = {"top": 4, "random": 4, "short_random": 4, "pool": 20, "histogram": 4, "table_units": 2}
    config = RecordConfig(tokens=3000, batch=640, **sizes)
    made = record(config, ForeignModel(folder, {}), tokens, tmp_path / "out", quiet)
    (site,) = json.loads((made.path / "records.json").read_text())["sites"]
    assert (site["units"], site["signed"], site["signs"]) == (units, signed, "seen")
    expected = "is negative in this text" if signed else "is never negative in this text"
    assert [line for line in said if "negative" in line and expected in line] != []


def test_the_command_says_known_of_a_known_class(tokens, tmp_path) -> None:
    folder = gpt2(tmp_path / "model", tokens, "relu2")
    assert run(["record", str(folder), "--text", str(tokens.path), "--out", str(tmp_path / "out"), *OPTIONS]) == 0
    (site,) = json.loads((tmp_path / "out" / "records.json").read_text())["sites"]
    assert (site["units"], site["signs"]) == (64, "known")
