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
    """The pre-activation of a unit when one contributor is zero at its position: a unit, what an autoencoder misses, a
    token's embedding, or a position's. `ids` are the text's tokens (T,).

    Raises InputError where there is no such contributor.
    """
    _require(tape, source)
    return preactivation_with(model, tape, ids, target, OFF[source.kind](model, tape, source))


def contribution_of(tape: Tape, found: Attribution, source: Node) -> float:
    """What one contributor adds to a target; InputError where it is none."""
    _require(tape, source)
    at = source.position
    if source.layer >= 0 and source.layer not in found.units:
        raise InputError(
            f"units of layer {source.layer} are not contributors of layer {found.target.layer} themselves."
        )
    if source.kind == "unit":
        return float(found.units[source.layer][at, tape.coordinate(source.layer, source.unit)[0]])
    entered = {"token": found.tokens, "position": found.positions}
    return float((found.errors[source.layer] if source.kind == "error" else entered[source.kind])[at])


def _unit_off(model: PreTrainedModel, tape: Tape, source: Node) -> dict[str, Change]:
    coordinate = tape.coordinate(source.layer, source.unit)[0]
    return {tape.sites[source.layer]: _set(source.position, coordinate, 0.0)}


def _error_off(model: PreTrainedModel, tape: Tape, source: Node) -> dict[str, Change]:
    site = tape.sites[source.layer]
    # An autoencoder whose latents nobody replaces computes no error.
    missed = site.removesuffix("latents") + "missed"
    return {site: torch.Tensor.clone, missed: _set(source.position, slice(None), 0.0)}


def _token_off(model: PreTrainedModel, tape: Tape, source: Node) -> dict[str, Change]:
    place = tape.entry[0, source.position].detach() - tape.embedded[source.position]
    return {block_names(model)[0] + INPUT: _set(source.position, slice(None), place)}


def _position_off(model: PreTrainedModel, tape: Tape, source: Node) -> dict[str, Change]:
    token = tape.embedded[source.position]
    return {block_names(model)[0] + INPUT: _set(source.position, slice(None), token)}


OFF = {"unit": _unit_off, "error": _error_off, "token": _token_off, "position": _position_off}
"""By the kind of a contributor: what to change so that it is zero."""


def _set(position: int, coordinate: int | slice, value: float | torch.Tensor) -> Change:
    def change(output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[0, position, coordinate] = value
        return changed

    return change


def _require(tape: Tape, source: Node) -> None:
    length, layers = len(tape.embedded), {"unit": tape.units, "error": tape.errors}.get(source.kind)
    if not 0 <= source.position < length:
        raise InputError(f"there is no position {source.position}: the text has {length} tokens, counted from 0.")
    if layers is not None and source.layer not in layers:
        raise InputError(f"there is no layer {source.layer} with such a contributor.")
    if source.kind not in OFF:
        raise InputError(f"one of {', '.join(OFF)} can be turned off, and nothing else.")
