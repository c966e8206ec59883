"""Attribution tried on the model: what is kept, and what is set to zero."""

import pytest
import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.faithfulness import check
from cratelm.circuits.tape import Tape
from cratelm.models.build import build_model
from cratelm.units.sites import find_sites
from tests.circuits.test_attribution import SHAPE, VOCABULARY, drawn, text


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_keeping_every_contributor_leaves_the_whole_activation(name, monkeypatch) -> None:
    monkeypatch.setattr("cratelm.circuits.faithfulness.KEPT", (0, 10_000))
    model = drawn(build_model(name, SHAPE, VOCABULARY, 0, 0))
    tape = Tape.of(model, find_sites(model), text())
    found = attribute(tape, Target(1, 3, 9))
    checked = check(model, tape, text(), found, interventions=5, seed=0)
    assert checked.kept == pytest.approx([0, 1], abs=1e-3)


def test_the_change_is_the_one_that_a_hook_by_hand_gives() -> None:
    model = drawn(build_model("gpt2", SHAPE, VOCABULARY, 0, 0))
    tape = Tape.of(model, find_sites(model), text())
    found = attribute(tape, Target(2, 5, 8))
    checked = check(model, tape, text(), found, interventions=3, seed=0)
    flat = torch.cat([found.units[layer].flatten() for layer in (0, 1)])
    place = int(flat.abs().argmax())
    layer, rest = divmod(place, found.units[0].numel())
    position, unit = divmod(rest, found.units[0].shape[1])

    def silence(module, inputs, output):
        output = output.clone()
        output[0, position, unit] = 0
        return output

    def value() -> float:
        seen: list[torch.Tensor] = []
        reading = model.model.layers[2].mlp.hidden.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
        with torch.inference_mode():
            model(input_ids=text()[None])
        reading.remove()
        return float(seen[0][0, 8, 5])

    before = value()
    hook = model.model.layers[layer].mlp.hidden.register_forward_hook(silence)
    after = value()
    hook.remove()
    assert checked.real[0] == pytest.approx(after - before, rel=1e-3, abs=1e-5)
    assert checked.predicted[0] == pytest.approx(-float(flat[place]))
