"""A target's pre-activation in the model as it is, with nothing held, when something before it is changed."""

from collections.abc import Callable, Mapping

import torch
from transformers import PreTrainedModel

from cratelm.circuits.attribution import Attribution, Target
from cratelm.circuits.graph import Node
from cratelm.circuits.tape import Tape, preactivation_of
from cratelm.errors import InputError
from cratelm.units.places import INPUT, block_names
from cratelm.units.sites import at_sites

Change = Callable[[torch.Tensor], torch.Tensor]
"""What becomes of the activations (1, T, units) at a site."""


@torch.inference_mode()
def preactivation_with(
    model: PreTrainedModel, tape: Tape, ids: torch.Tensor, target: Target, changes: Mapping[str, Change]
) -> float:
    """The pre-activation of a unit when the activations at some sites are changed; ids (T,)."""
    assert target.layer is not None
    seen: list[torch.Tensor] = []
    before = preactivation_of(model, tape.sites[target.layer])

    def visit(name: str, output: torch.Tensor) -> torch.Tensor | None:
        if name == before:
            seen.append(output[0, target.position])
            return None
        return changes[name](output)

    with at_sites(model, [before, *changes], visit):
        model.base_model(input_ids=ids[None], use_cache=False)
    coordinate, sign = tape.coordinate(target.layer, target.unit)
    return sign * float(seen[0][coordinate])


def turned_off(model: PreTrainedModel, tape: Tape, ids: torch.Tensor, target: Target, source: Node) -> float:
    """The pre-activation of a unit when one contributor is zero at its position: a unit, a token's embedding, or a
    position's.

    Raises InputError where there is no such contributor.
    """
    _require(tape, source)
    site, coordinate, left = _what_is_left(model, tape, source)

    def change(output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[0, source.position, coordinate] = left
        return changed

    return preactivation_with(model, tape, ids, target, {site: change})


def _what_is_left(model: PreTrainedModel, tape: Tape, source: Node) -> tuple[str, int | slice, float | torch.Tensor]:
    """A site, the coordinates of a contributor there, and what they are without it."""
    if source.kind == "unit":
        return tape.sites[source.layer], tape.coordinate(source.layer, source.unit)[0], 0.0
    embedded = tape.embedded[source.position]
    place = tape.entry[0, source.position].detach() - embedded
    return block_names(model)[0] + INPUT, slice(None), place if source.kind == "token" else embedded


def contribution_of(tape: Tape, found: Attribution, source: Node) -> float:
    """What one contributor adds to a target; InputError where it is none."""
    _require(tape, source)
    if source.kind == "token":
        return float(found.tokens[source.position])
    if source.kind == "position":
        return float(found.positions[source.position])
    if source.layer not in found.units:
        raise InputError(f"units of layer {source.layer} are no contributors of layer {found.target.layer} themselves.")
    return float(found.units[source.layer][source.position, tape.coordinate(source.layer, source.unit)[0]])


def _require(tape: Tape, source: Node) -> None:
    length = len(tape.logits)
    if not 0 <= source.position < length:
        raise InputError(f"there is no position {source.position}: the text has {length} tokens, counted from 0.")
    if source.kind == "unit" and source.layer not in tape.units:
        raise InputError(f"there is no layer {source.layer}: the model has layers 0 to {len(tape.units) - 1}.")
    if source.kind not in ("unit", "token", "position"):
        raise InputError("units, tokens and positions can be turned off, and nothing else.")
