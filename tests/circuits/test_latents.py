"""Latents of autoencoders taken apart: what an autoencoder misses is a contributor of its own."""

import pytest
import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.graph import Node, trace
from cratelm.circuits.tape import Tape
from cratelm.circuits.tree import lines_of
from cratelm.circuits.turned_off import turned_off
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.sae.attach import attach_saes
from cratelm.units.sites import at_sites, find_sites
from tests.circuits.test_attribution import LENGTH, SHAPE, VOCABULARY, drawn, gated, text
from tests.sae.test_public import autoencoder

POSITION, UNIT = 8, 11


def with_latents(model, place: str, kind: str = "standard", width: int = 16, **settings) -> dict:
    """Autoencoders on a place of each block; gives them."""
    saes = {
        site: autoencoder("x" * number, kind, d_in=width, **settings)
        for number, site in enumerate(find_sites(model, place))
    }
    attach_saes(model, saes)
    return saes


def tape_of(model) -> Tape:
    return Tape.of(model, find_sites(model), text())


@pytest.mark.parametrize("kind", ["standard", "topk", "jumprelu"])
@pytest.mark.parametrize("place", ["mlp.neurons", "mlp.out", "residual"])
@pytest.mark.parametrize("name", ["llama", "gemma2", "qwen3"])
def test_where_nothing_has_a_bias_latents_and_what_is_missed_are_the_whole_sum(name, place, kind) -> None:
    model = gated(name)
    saes = with_latents(model, place, kind, 24 if place == "mlp.neurons" else 16)
    for sae in saes.values():
        sae.b_enc.data.zero_()
        sae.b_dec.data.zero_()
    tape = tape_of(model)
    for layer in (0, 1):
        found = attribute(tape, Target(layer, UNIT, POSITION))
        assert abs(found.constant) < 1e-4 * max(1, abs(found.value))
        assert set(found.errors) == set(found.units) == set(range(layer))


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_the_pre_activation_is_the_one_that_the_autoencoder_computes(name) -> None:
    model = drawn(build_model(name, SHAPE, VOCABULARY, 0, 0))
    bare: dict[str, torch.Tensor] = {}
    sites = find_sites(model)
    with torch.no_grad(), at_sites(model, sites, lambda site, x: bare.update({site: x})):
        model(input_ids=text()[None])
    saes = with_latents(model, find_sites_glob(sites), width=64)
    tape = tape_of(model)
    sae = saes[sites[1]]
    x = bare[sites[1]][0, POSITION]
    expected = (x - sae.b_dec) @ sae.W_enc[:, UNIT] + sae.b_enc[UNIT]
    found = attribute(tape, Target(1, UNIT, POSITION))
    assert found.value == pytest.approx(expected.item(), rel=1e-3, abs=1e-4)
    assert sum(float(part.sum()) for part in found.parts()) + found.constant == pytest.approx(found.value, rel=1e-4)


def test_latents_on_an_activation_s_own_output_feed_the_layer_above() -> None:
    model = drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0))
    with_latents(model, find_sites_glob(find_sites(model)), width=64)
    found = attribute(tape_of(model), Target(1, UNIT, POSITION))
    assert set(found.units) == {0} and found.units[0].any() and found.errors[0].any()


def test_what_is_missed_turned_off_is_the_reconstruction_in_its_place() -> None:
    model = drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0))
    saes = [*with_latents(model, find_sites_glob(find_sites(model)), width=64).values()]
    tape, target = tape_of(model), Target(1, UNIT, POSITION)
    found = turned_off(model, tape, text(), target, Node("error", 0, 0, POSITION))

    def reconstruct(module, given, output):
        output = output.clone()
        output[0, POSITION] = saes[0].decode(saes[0].encode(output))[0, POSITION]
        return output

    seen: list[torch.Tensor] = []
    hidden = [block.mlp.hidden for block in model.model.layers[:2]]
    hidden[0].register_forward_hook(reconstruct)
    hidden[1].register_forward_hook(lambda module, given, output: seen.append(output[0, POSITION]), prepend=True)
    with torch.inference_mode():
        model(input_ids=text()[None])
    expected = (seen[0] - saes[1].b_dec) @ saes[1].W_enc[:, UNIT] + saes[1].b_enc[UNIT]
    assert found == pytest.approx(expected.item(), rel=1e-3, abs=1e-4)
    assert found != pytest.approx(attribute(tape, target).value, rel=1e-3)


def find_sites_glob(sites: list[str]) -> str:
    return "*." + ".".join(sites[0].split(".")[3:])


def test_what_a_latent_of_the_residual_stream_gets_from_below_is_its_row_through_the_block_written_out() -> None:
    """Without attention: straight on, and through the MLP with its gate and its norm held."""
    model, seen = gated("llama"), {}
    saes = [*with_latents(model, "residual").values()]
    block = model.model.layers[1]
    handles = [
        block.post_attention_layernorm.register_forward_hook(lambda m, given, out: seen.update(scale=out / given[0])),
        block.mlp.act_fn.register_forward_hook(lambda m, given, out: seen.update(gate=out)),
    ]
    tape = tape_of(model)
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        rows = tape.units[0][0, POSITION, :, None] * saes[0].W_dec
        scale, gate = seen["scale"][0, POSITION], seen["gate"][0, POSITION]
        through = ((rows * scale) @ block.mlp.up_proj.weight.T * gate) @ block.mlp.down_proj.weight.T
        expected = (rows + through) @ saes[1].W_enc[:, UNIT]
    found = attribute(tape, Target(1, UNIT, POSITION))
    torch.testing.assert_close(found.direct[0][POSITION], expected, rtol=1e-3, atol=1e-4)


def test_what_is_missed_is_shown_in_the_tree_with_its_share() -> None:
    model = gated("llama")
    with_latents(model, "residual")
    graph = trace(tape_of(model), text(), Target(1, UNIT, POSITION), width=200)
    assert any("the autoencoder of layer 0 misses" in line for line in lines_of(graph, ["x"] * LENGTH, "it"))


def test_an_autoencoder_that_scales_each_token_by_itself_is_refused() -> None:
    model = gated("llama")
    with_latents(model, "residual", normalize_activations="layer_norm")
    with pytest.raises(InputError, match="scales each token"):
        tape_of(model)
