"""A contributor turned off is the model run with another input, or with a weight set to zero."""

import pytest
import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.graph import Node
from cratelm.circuits.tape import Tape
from cratelm.circuits.turned_off import contribution_of, turned_off
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.units.sites import find_sites
from tests.circuits.test_attribution import SHAPE, VOCABULARY, drawn, text

TARGET, AT = Target(1, 5, 8), 6


@pytest.fixture(params=["crate", "gpt2"])
def model(request):
    return drawn(build_model(request.param, SHAPE, VOCABULARY, 0, 0))


@torch.inference_mode()
def read(model, **given) -> float:
    """The target's pre-activation, by a hook of its own."""
    block = model.model.layers[1]
    module = block.mlp.hidden if hasattr(block, "mlp") else block.coding.preactivation
    seen: list[torch.Tensor] = []
    reading = module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(**given)
    reading.remove()
    return float(seen[0][0, TARGET.position, TARGET.unit])


def test_a_token_turned_off_is_an_embedding_of_zeros(model) -> None:
    tape = Tape.of(model, find_sites(model), text())
    embeddings = model.get_input_embeddings()(text()[None]).detach().clone()
    embeddings[0, AT] = 0
    found = turned_off(model, tape, text(), TARGET, Node("token", -1, int(text()[AT]), AT))
    assert found == pytest.approx(read(model, inputs_embeds=embeddings), rel=1e-4)


def test_a_position_turned_off_is_a_position_embedding_of_zeros(model) -> None:
    tape = Tape.of(model, find_sites(model), text())
    found = turned_off(model, tape, text(), TARGET, Node("position", -1, AT, AT))
    with torch.no_grad():
        model.model.embed_positions.weight[AT] = 0
    assert found == pytest.approx(read(model, input_ids=text()[None]), rel=1e-4)


def test_what_nothing_is_changed_of_stays(model) -> None:
    tape = Tape.of(model, find_sites(model), text())
    after = Node("token", -1, 0, TARGET.position + 1)  # which the target does not see
    found = attribute(tape, TARGET)
    assert turned_off(model, tape, text(), TARGET, after) == pytest.approx(found.value, rel=1e-4)
    assert contribution_of(tape, found, after) == 0


@pytest.mark.parametrize(
    "source", [Node("unit", 7, 0, 0), Node("unit", 0, 64, 0), Node("token", -1, 0, 99), Node("logit", 3, 0, 0)]
)
def test_what_is_no_contributor_is_refused(model, source) -> None:
    tape = Tape.of(model, find_sites(model), text())
    for ask in (
        lambda: turned_off(model, tape, text(), TARGET, source),
        lambda: contribution_of(tape, attribute(tape, TARGET), source),
    ):
        with pytest.raises(InputError):
            ask()
