"""Why a unit fired: its pre-activation as an exact sum over earlier units, tokens and positions.

    pre-activation = sum over layers, positions and units of contribution
                   + sum over positions of what their tokens' embeddings and their places contribute
                   + sum over layers and positions of what contributes that autoencoders miss, where units are latents
                   + a constant, which biases and thresholds leave

A contribution is the unit's activation times its weight in the frozen model (frozen.py). It holds for this text: with
another activation, attention weights, norms and the activations of earlier ISTA steps would change too.
"""

from dataclasses import dataclass

import torch

from cratelm.circuits.tape import Flow, Tape
from cratelm.errors import InputError


@dataclass(frozen=True)
class Target:
    """A unit of a layer at a position, the start token's being 0; the logit of a token after it with layer None."""

    layer: int | None
    unit: int
    position: int
    against: int | None = None
    """Of a logit: another token, whose logit is taken off."""


@dataclass(frozen=True)
class Attribution:
    """One target taken apart."""

    target: Target
    value: float
    """The pre-activation, or the logit."""
    units: dict[int, torch.Tensor]
    """By layer, (T, units): contributions, by any way; of the layers that have a part in it."""
    direct: dict[int, torch.Tensor]
    """The part of them that no attention takes part in; at other positions than the target's it is 0."""
    errors: dict[int, torch.Tensor]
    """By layer, (T,): what contributes that autoencoders miss; of layers whose units are latents."""
    tokens: torch.Tensor
    """(T,): what the tokens' embeddings contribute."""
    positions: torch.Tensor
    """(T,): what else entered the first block contributes: the embeddings of positions."""
    direct_errors: dict[int, torch.Tensor]
    """The part of `errors` that no attention takes part in."""
    direct_entry: tuple[torch.Tensor, torch.Tensor]
    """The parts of `tokens` and `positions` that no attention takes part in."""

    @property
    def constant(self) -> float:
        """What no variable contributes."""
        return self.value - sum(float(part.double().sum()) for part in self.parts())

    def parts(self) -> list[torch.Tensor]:
        """All contributions."""
        return [*self.units.values(), *self.errors.values(), self.tokens, self.positions]

    def by_position(self) -> torch.Tensor:
        """(T,): what each position contributes with its units, its token and its place together."""
        units = [of_layer.sum(-1) for of_layer in self.units.values()]
        return torch.stack([*units, *self.errors.values(), self.tokens, self.positions]).sum(0)


def attribute(tape: Tape, target: Target) -> Attribution:
    """Take one target apart; raises InputError where it is not on the tape, ValueError for a logit that it has not."""
    number = _number(tape, target)
    return _attribution(tape, target, float(number.detach()), number, None)


def attribute_heads(tape: Tape, target: Target) -> dict[tuple[int, int], Attribution]:
    """What reaches a target through each head, by the last one on the way: (attention, head) of those that matter.

    Their sum and the direct part are the whole.
    """
    found = {}
    for number, weight in tape.flow(_number(tape, target)).attention.items():
        for head in torch.nonzero(weight.abs().amax((0, 2)) > 0).flatten().tolist():
            alone = torch.zeros_like(weight)
            alone[:, head] = weight[:, head]
            value = float((alone * tape.heads[number][0].detach()).sum())
            found[number, head] = _attribution(tape, target, value, tape.attended[number], alone[None])
    return found


@torch.inference_mode(False)
@torch.enable_grad()  # whoever asks, the number's derivatives are wanted
def _number(tape: Tape, target: Target) -> torch.Tensor:
    length = len(tape.embedded)
    if not 0 <= target.position < length:
        raise InputError(f"there is no position {target.position}: the text has {length} tokens, counted from 0.")
    if target.layer is None:
        if target.position != tape.at:
            raise ValueError(f"the tape has the logits after position {tape.at}, not after {target.position}")
        return tape.logits[target.unit] - (0 if target.against is None else tape.logits[target.against])
    if target.layer not in tape.before:
        raise InputError(f"there is no layer {target.layer}: the model has layers 0 to {len(tape.before) - 1}.")
    coordinate, sign = tape.coordinate(target.layer, target.unit)
    return sign * tape.before[target.layer][0, target.position, coordinate]


def _attribution(
    tape: Tape, target: Target, value: float, number: torch.Tensor, weight: torch.Tensor | None
) -> Attribution:
    direct = _parts(tape, tape.flow(number, weight))
    with tape.through_attention():
        whole = _parts(tape, tape.flow(number, weight))
    return Attribution(
        target,
        value,
        whole.units,
        direct.units,
        whole.errors,
        whole.tokens,
        whole.positions,
        direct.errors,
        (direct.tokens, direct.positions),
    )


@dataclass(frozen=True)
class _Parts:
    """What contributes along some paths; shapes as in Attribution."""

    units: dict[int, torch.Tensor]
    errors: dict[int, torch.Tensor]
    tokens: torch.Tensor
    positions: torch.Tensor


def _parts(tape: Tape, flow: Flow) -> _Parts:
    """Variables times their derivatives, which are taken out of `flow` one by one: all layers of both are large."""
    rest = tape.entry[0].detach() - tape.embedded
    return _Parts(
        {layer: tape.units[layer][0].detach() * flow.units.pop(layer) for layer in list(flow.units)},
        {layer: (tape.errors[layer][0].detach() * weights).sum(-1) for layer, weights in flow.errors.items()},
        (tape.embedded * flow.entry).sum(-1),
        (rest * flow.entry).sum(-1),
    )
