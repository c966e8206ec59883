"""Other projects that read a model's activations see the same ones: nnsight by module, nnterp by its standard names."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

import cratelm
from cratelm.models import BaselineConfig, BaselineForCausalLM, CrateConfig, CrateForCausalLM
from cratelm.units.sites import at_sites, find_sites
from tests.foreign import environment
from tests.foreign_models import random_model
from tests.language_models import bytes_tokenizer
from tests.shared import Shared
from tests.units.nnsight_reads import IDS, NNTERP

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32}
MODELS = {
    "crate": lambda: CrateForCausalLM(CrateConfig(vocab_size=257, **SIZES)),
    "gpt2-baseline": lambda: BaselineForCausalLM(BaselineConfig(vocab_size=257, **SIZES)),
    "llama": lambda: random_model("llama", 257),
}
PLACES = dict(zip(NNTERP, ("attention.out", "mlp.out", "residual"), strict=True))


def ours(model: PreTrainedModel, sites: list[str]) -> dict[str, torch.Tensor]:
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad(), at_sites(model, sites, lambda site, output: seen.__setitem__(site, output.clone())):
        model(input_ids=IDS, use_cache=False)
    return seen


@pytest.fixture(scope="module")
def by_module(request: pytest.FixtureRequest, shared: Shared) -> Path:
    """What nnsight reads of every model, by the names of our sites."""
    python = environment(request.config, "nnsight==0.8.1", beside_ours=True)
    return shared.folder("nnsight", lambda out: read_all(python, out, sites_in_order))


@pytest.fixture(scope="module")
def by_standard_name(request: pytest.FixtureRequest, shared: Shared) -> Path:
    """What nnterp reads of every model, by its own names."""
    python = environment(request.config, "nnterp==1.3.0", "nnsight==0.7.0", beside_ours=True)
    return shared.folder("nnterp", lambda out: read_all(python, out, lambda model: list(PLACES)))


def read_all(python: Path, folder: Path, names: Callable[[PreTrainedModel], list[str]]) -> None:
    """Have one process of that Python read the names of every model."""
    for kind in MODELS:
        model = random(kind)
        model.save_pretrained(folder / kind / "model")
        bytes_tokenizer().save_pretrained(folder / kind / "model")
        (folder / kind / "names.json").write_text(json.dumps(names(model)))
    script = Path(__file__).with_name("nnsight_reads.py")
    place = os.environ | {"PYTHONPATH": str(Path(cratelm.__file__).parents[1])}
    command = [python, script, *(folder / kind for kind in MODELS)]
    result = subprocess.run(command, env=place, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def theirs(folder: Path) -> dict[str, torch.Tensor]:
    error = folder / "error"
    assert not error.exists(), error.read_text()
    return load_file(folder / "read.safetensors")


def random(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return MODELS[kind]().eval()


def compared(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys() and all(value.std() > 0 for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)


def sites_in_order(model: PreTrainedModel) -> list[str]:
    """The sites in the order in which modules are called: nnsight reads them in this order alone."""
    calls: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name)) for name, module in model.named_modules()
    ]
    with torch.no_grad():
        model(input_ids=IDS)
    for handle in handles:
        handle.remove()
    places = ("mlp.neurons", "attention.out", "residual")
    sites = {site for place in places for site in find_sites(model, place)}
    return sorted(sites, key=lambda site: calls.index(site.removesuffix(":in")))


@pytest.mark.foreign
@pytest.mark.parametrize("kind", MODELS)
def test_nnsight_reads_the_activations_of_sites_by_their_names(kind, by_module) -> None:
    model = random(kind)
    compared(theirs(by_module / kind), {site: ours(model, [site])[site] for site in sites_in_order(model)})


@pytest.mark.foreign
@pytest.mark.parametrize("kind", MODELS)
def test_nnterp_s_standard_names_are_our_places(kind, by_standard_name) -> None:
    model = random(kind)
    expected = {
        f"{name}.{layer}": ours(model, [site])[site]
        for layer in range(2)
        for name, place in PLACES.items()
        for site in [find_sites(model, place)[layer]]
    }
    compared(theirs(by_standard_name / kind), expected)
