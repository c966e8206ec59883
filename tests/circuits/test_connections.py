"""Connections over a text are the means of what attribution gives position by position, and of the equations."""

import pytest
import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.connections import fed_by, feeds
from cratelm.circuits.tape import Tape
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.units.sites import find_sites
from tests import language_models
from tests.circuits.test_attribution import LENGTH, SHAPE, VOCABULARY, drawn, text

MODELS = ["crate", "crate-1step", "crate-alpha", "gpt2"]
UNIT = 5


def tapes_of(model) -> list[Tape]:
    return [Tape.of(model, find_sites(model), text(seed)) for seed in (0, 1)]


@pytest.fixture(scope="module", params=MODELS)
def tapes(request) -> list[Tape]:
    return tapes_of(drawn(build_model(request.param, SHAPE, VOCABULARY, 0, 0)))


def test_contributions_are_the_mean_of_those_to_every_token(tapes) -> None:
    every = [attribute(tape, Target(2, UNIT, position)) for tape in tapes for position in range(1, LENGTH)]
    expected = torch.stack([one.units[1].double().sum(0) for one in every]).mean(0)
    torch.testing.assert_close(fed_by(tapes, 2, UNIT).contribution, expected, rtol=1e-3, atol=1e-5)


def test_what_a_unit_feeds_is_fed_by_it(tapes) -> None:
    down = [fed_by(tapes, 2, unit) for unit in range(8)]
    up = feeds(tapes, 1, UNIT)
    assert (down[0].layer, up.layer) == (1, 2)
    for unit, one in enumerate(down):
        assert up.weight[unit] == pytest.approx(float(one.weight[UNIT]), rel=1e-3, abs=1e-5)
        assert up.contribution[unit] == pytest.approx(float(one.contribution[UNIT]), rel=1e-3, abs=1e-5)


def test_weights_of_crate_are_atoms_through_the_norm_s_mean_scale() -> None:
    model = drawn(build_model("crate-1step", SHAPE, VOCABULARY, 0, 0))
    tapes, block = tapes_of(model), model.model.layers[2]
    scales: list[torch.Tensor] = []
    reading = block.coding_norm.register_forward_pre_hook(
        lambda module, given: scales.append((given[0].var(-1, unbiased=False) + 1e-5).rsqrt()[0, 1:])
    )
    with torch.inference_mode():
        for seed in (0, 1):
            model(input_ids=text(seed)[None])
        reading.remove()
        atoms = model.model.layers[1].coding.dictionary
        centred = atoms - atoms.mean(-1, keepdim=True)
        read = 0.1 * block.coding.dictionary * block.coding_norm.weight
        expected = torch.cat(scales).mean() * read @ centred.T  # (units above, units below)
    torch.testing.assert_close(fed_by(tapes, 2, UNIT).weight.float(), expected[UNIT], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(feeds(tapes, 1, UNIT).weight.float(), expected[:, UNIT], rtol=1e-3, atol=1e-5)


def test_weights_of_gpt2_go_through_the_residual_stream_and_the_norm() -> None:
    model = drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0))
    tape, block = Tape.of(model, find_sites(model), text()), model.model.layers[2]
    seen: list[torch.Tensor] = []
    reading = block.mlp_norm.register_forward_pre_hook(lambda module, given: seen.append(given[0][0, 1:]))
    with torch.inference_mode():
        model(input_ids=text()[None])
        reading.remove()
        scale = (seen[0].var(-1, unbiased=False) + 1e-5).rsqrt().mean()
        written = model.model.layers[1].mlp.down_proj.weight  # (d, units)
        written = written - written.mean(0, keepdim=True)
        expected = scale * (block.mlp.up_proj.weight * block.mlp_norm.weight) @ written
    torch.testing.assert_close(fed_by([tape], 2, UNIT).weight.float(), expected[UNIT], rtol=1e-3, atol=1e-5)


def test_both_parts_of_signed_coordinates_are_units_of_their_own() -> None:
    model = drawn(language_models.random_gpt2(n_positions=16))
    tapes = tapes_of(model)
    width = tapes[0].units[0].shape[-1]
    both = fed_by(tapes, 1, UNIT)
    assert len(both.weight) == 2 * width
    torch.testing.assert_close(both.weight[:width], -both.weight[width:])
    for unit in (3, 3 + width):
        up = feeds(tapes, 0, unit)
        assert up.contribution[UNIT] == pytest.approx(float(both.contribution[unit]), rel=1e-3, abs=1e-6)
        assert up.weight[UNIT] == pytest.approx(float(both.weight[unit]), rel=1e-3, abs=1e-6)
        assert up.contribution[UNIT + width] == pytest.approx(-float(both.contribution[unit]), rel=1e-3, abs=1e-6)


def test_layers_without_neighbours_and_units_that_are_not_there_are_refused() -> None:
    tapes = tapes_of(drawn(build_model("crate", SHAPE, VOCABULARY, 0, 0)))
    for ask, layer, unit in ((fed_by, 0, 0), (feeds, 2, 0), (fed_by, 1, 64), (feeds, 0, -1)):
        with pytest.raises(InputError, match="there is no"):
            ask(tapes, layer, unit)
