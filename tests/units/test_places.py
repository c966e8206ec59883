"""Places that every architecture has, by name: against hooks written by hand on the module that each paper means."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from cratelm.errors import InputError
from cratelm.units.clamp import Clamp, clamped
from cratelm.units.directions import unit_directions
from cratelm.units.places import PLACES
from cratelm.units.sites import at_sites, find_sites
from cratelm.units.unembedding import token_effects
from tests.foreign_models import MIXTURES, SIZES, random_model

DOWN = "model.layers.{}.mlp.down_proj", "model.layers.{}.self_attn"
PROJECTIONS = {
    "gpt2": ("transformer.h.{}.mlp.c_proj", "transformer.h.{}.attn"),
    "gpt_neo": ("transformer.h.{}.mlp.c_proj", "transformer.h.{}.attn"),
    "gptj": ("transformer.h.{}.mlp.fc_out", "transformer.h.{}.attn"),
    "gpt_neox": ("gpt_neox.layers.{}.mlp.dense_4h_to_h", "gpt_neox.layers.{}.attention"),
    "falcon": ("transformer.h.{}.mlp.dense_4h_to_h", "transformer.h.{}.self_attention"),
    "bloom": ("transformer.h.{}.mlp.dense_4h_to_h", "transformer.h.{}.self_attention"),
    "opt": ("model.decoder.layers.{}.fc2", "model.decoder.layers.{}.self_attn"),
    "phi": ("model.layers.{}.mlp.fc2", "model.layers.{}.self_attn"),
    "starcoder2": ("model.layers.{}.mlp.c_proj", "model.layers.{}.self_attn"),
    "llama": DOWN,
    "mistral": DOWN,
    "qwen2": DOWN,
    "qwen3": DOWN,
    "gemma": DOWN,
    "gemma2": DOWN,
    "gemma3_text": DOWN,
    "olmo": DOWN,
    "olmo2": DOWN,
    "olmo3": DOWN,
    "phi3": DOWN,
    "granite": DOWN,
    "cohere": DOWN,
    "stablelm": DOWN,
    "smollm3": DOWN,
}
"""The linear layer whose input is the neurons, and the attention, by each architecture's own source."""
CONVOLUTIONS = ("gpt2",)
"""Those whose weights are stored as (units, d)."""


def ids() -> torch.Tensor:
    return torch.randint(64, (3, 7), generator=torch.Generator().manual_seed(1))


def read(model: PreTrainedModel, sites: list[str]) -> dict[str, torch.Tensor]:
    """What `at_sites` shows."""
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad(), at_sites(model, sites, lambda site, output: seen.__setitem__(site, output.clone())):
        model(input_ids=ids(), use_cache=False)
    return seen


def by_hand(model: PreTrainedModel, name: str, inputs: bool) -> torch.Tensor:
    """What a module reads, or gives first, by a hook on it: (batch * tokens, units)."""
    seen: list[torch.Tensor] = []

    def hook(module: nn.Module, given: tuple, output) -> None:
        first = given[0] if inputs else output if isinstance(output, torch.Tensor) else output[0]
        seen.append(first.reshape(-1, first.shape[-1]).clone())

    handle = model.get_submodule(name).register_forward_hook(hook)
    with torch.no_grad():
        model(input_ids=ids(), use_cache=False)
    handle.remove()
    (only,) = seen
    return only


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_the_neurons_of_every_architecture_are_what_its_last_projection_reads(kind: str) -> None:
    model = random_model(kind)
    for sites in (find_sites(model), find_sites(model, "mlp.neurons")):
        seen = read(model, sites)
        assert len(sites) == 2
        for layer, site in enumerate(sites):
            assert seen[site].shape[:2] == (3, 7)
            expected = by_hand(model, PROJECTIONS[kind][0].format(layer), inputs=True)
            assert torch.equal(seen[site].flatten(0, 1), expected)


@pytest.mark.parametrize("kind", [*PROJECTIONS, *MIXTURES])
def test_attention_and_residual_are_what_the_modules_give_in_every_architecture(kind: str) -> None:
    model = random_model(kind)
    attention = PROJECTIONS.get(kind, PROJECTIONS["llama"])[1]
    for place, module in (("attention.out", attention), ("residual", attention.rpartition(".")[0])):
        seen = read(model, find_sites(model, place))
        assert list(seen) == [module.format(layer) for layer in range(2)]
        for site, output in seen.items():
            assert torch.equal(output.flatten(0, 1), by_hand(model, site, inputs=False))


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_what_the_neurons_of_every_architecture_write_is_in_line_with_the_projection(kind: str) -> None:
    model = random_model(kind)
    for layer, site in enumerate(find_sites(model)):
        directions, projection = unit_directions(model, site), model.get_submodule(PROJECTIONS[kind][0].format(layer))
        columns = projection.weight.detach() if kind in CONVOLUTIONS else projection.weight.detach().T  # (units, d)
        assert directions is not None and token_effects(model, directions) is not None
        # All by one factor a coordinate: of the residual's own multiplier, or of a norm behind the MLP.
        factor = directions[0] / columns[0]
        torch.testing.assert_close(directions, columns * factor, rtol=1e-3, atol=1e-5)
        assert (factor > 0).all()


def test_blocks_that_share_an_activation_have_their_neurons_before_the_projection() -> None:
    model = random_model("openai-gpt")
    assert model.transformer.h[0].mlp.act is model.transformer.h[1].mlp.act
    sites = find_sites(model)
    assert sites == [f"transformer.h.{layer}.mlp.c_proj:in" for layer in range(2)]
    for site, output in read(model, sites).items():
        assert torch.equal(output.flatten(0, 1), by_hand(model, site.removesuffix(":in"), inputs=True))
    with clamped(model, sites, [Clamp(layer=1, unit=5, operation="set", value=2.5)]):
        assert (by_hand(model, "transformer.h.1.mlp.c_proj", inputs=True)[:, 5] == 2.5).all()
        assert (by_hand(model, "transformer.h.0.mlp.c_proj", inputs=True)[:, 5] != 2.5).all()
    # Its blocks end in a norm, which divides what a unit writes by the size of the token's stream.
    assert unit_directions(model, sites[1]) is None


@pytest.mark.parametrize("kind", ["opt", "llama", "gpt2"])
def test_a_clamped_neuron_is_what_the_projection_reads(kind: str) -> None:
    model = random_model(kind)
    sites = find_sites(model)
    projection = PROJECTIONS[kind][0].format(1)
    before = by_hand(model, projection, inputs=True).view(3, 7, -1)
    with clamped(model, sites, [Clamp(layer=1, unit=5, operation="add", value=2.5, positions=(0, 3))]):
        after = by_hand(model, projection, inputs=True).view(3, 7, -1)
    changed = (after - before).nonzero().tolist()
    assert sorted(changed) == [[row, place, 5] for row in range(3) for place in (0, 3)]
    assert torch.allclose((after - before)[:, [0, 3], 5], torch.tensor(2.5))


@pytest.mark.parametrize("kind", MIXTURES)
def test_a_mixture_of_experts_has_no_neurons_for_every_token_and_says_what_it_has(kind: str) -> None:
    model = random_model(kind)
    with pytest.raises(
        InputError, match=f"a {kind} model has no mlp.neurons .* mlp.out, attention.out, residual"
    ) as error:
        find_sites(model)
    assert "model.layers.1.mlp" in str(error.value)
    assert find_sites(model, "mlp.out") == ["model.layers.0.mlp", "model.layers.1.mlp"]


def test_a_glob_may_mean_the_inputs_of_modules() -> None:
    model = random_model("llama")
    sites = find_sites(model, "*.o_proj:in")
    assert sites == [f"model.layers.{layer}.self_attn.o_proj:in" for layer in range(2)]
    for site, output in read(model, sites).items():
        assert torch.equal(output.flatten(0, 1), by_hand(model, site.removesuffix(":in"), inputs=True))


@pytest.mark.parametrize("layers", [2, 5])
def test_a_model_that_reads_pictures_has_its_places_in_its_language_model(layers: int) -> None:
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(
            "gemma3",
            text_config=SIZES | {"vocab_size": 64},
            vision_config=vision | {"num_hidden_layers": layers},
            **{"mm_tokens_per_image": 4, "image_token_index": 61, "boi_token_index": 62, "eoi_token_index": 63},
        )
    )
    assert find_sites(model) == [f"model.language_model.layers.{layer}.mlp.down_proj:in" for layer in range(2)]
    directions = unit_directions(model, find_sites(model)[1])
    assert directions is not None and directions.shape == (24, 16)


def test_what_matches_nothing_is_refused_with_the_places_and_the_modules() -> None:
    with pytest.raises(
        InputError, match=r"Give mlp.neurons, mlp.out, attention.out, residual, or a glob over .*lm_head"
    ):
        find_sites(random_model("llama"), "*.act")
    assert set(PLACES) == {"mlp.neurons", "mlp.out", "attention.out", "residual"}
