"""Which units of the layer below feed a unit, and which of the layer above it feeds, over a whole text.

Between two neighbouring layers, as in attribution.py with attention weights, norms and active units held:

    weight        the mean over tokens of what one more unit of activation adds to a pre-activation on the same token,
                  without attention; in CRATE with one ISTA step, two atoms' product through the norm's mean scale
    contribution  the mean over tokens of what is added, from all positions and through attention too
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cratelm.circuits.tape import Tape
from cratelm.errors import InputError

START = 1
"""Tokens that are no text: the start token, on which nothing is measured."""


@dataclass(frozen=True)
class Connections:
    """One unit with all units of a neighbouring layer."""

    layer: int
    """The neighbouring one."""
    weight: torch.Tensor
    """(units,) float64."""
    contribution: torch.Tensor
    """(units,) float64: of a token on average."""


def fed_by(tapes: Sequence[Tape], layer: int, unit: int) -> Connections:
    """What the units of the layer below contribute to a unit; InputError where there is no such unit or layer."""
    if layer == 0:
        raise InputError("there is no layer below layer 0: tokens and positions feed it.")
    return _mean(layer - 1, [_fed(tape, layer, unit) for tape in tapes])


def feeds(tapes: Sequence[Tape], layer: int, unit: int) -> Connections:
    """What a unit contributes to those of the layer above; InputError where there is no such unit or layer."""
    if layer + 1 not in tapes[0].before:
        raise InputError(f"there is no layer above layer {layer}: what it feeds is the next token.")
    return _mean(layer + 1, [_fed_from(tape, layer, unit) for tape in tapes])


_Sums = tuple[torch.Tensor, torch.Tensor, int]
"""Weights and contributions of all units, (units,) each, summed over so many tokens."""


def _mean(layer: int, sums: Sequence[_Sums]) -> Connections:
    weights, contributions, counts = zip(*sums, strict=True)
    count = sum(counts)
    return Connections(layer, torch.stack(weights).sum(0) / count, torch.stack(contributions).sum(0) / count)


@torch.inference_mode(False)
@torch.enable_grad()
def _fed(tape: Tape, layer: int, unit: int) -> _Sums:
    coordinate, sign = tape.coordinate(layer, unit)
    number = sign * tape.before[layer][0, START:, coordinate].sum()
    direct = tape.flow(number)
    # Without attention, a derivative of the sum at a position is that of the unit there.
    weight = direct.units[layer - 1][START:].double().sum(0)
    activations = tape.units[layer - 1][0].detach()
    with tape.through_attention():
        whole = tape.flow(number)
    given = (activations * whole.units[layer - 1]).double()
    if not tape.signed[layer - 1]:
        return weight, given.sum(0), len(activations) - START
    halves = [torch.where(side, given, 0).sum(0) for side in (activations > 0, activations < 0)]
    return torch.cat([weight, -weight]), torch.cat(halves), len(activations) - START


@torch.inference_mode(False)
@torch.enable_grad()
def _fed_from(tape: Tape, layer: int, unit: int) -> _Sums:
    coordinate, sign = tape.coordinate(layer, unit)
    source, target = tape.units[layer], tape.before[layer + 1]
    one, given = torch.zeros_like(source), torch.zeros_like(source)
    one[..., coordinate] = sign
    given[..., coordinate] = sign * (sign * source[..., coordinate]).relu().detach()
    weight = _forward(target, source, one)
    with tape.through_attention():
        contribution = _forward(target, source, given)
    sums = [found[0, START:].double().sum(0) for found in (weight, contribution)]
    whole = [torch.cat([one, -one]) if tape.signed[layer + 1] else one for one in sums]
    return whole[0], whole[1], source.shape[1] - START


def _forward(output: torch.Tensor, variable: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """What a change of a variable does to an output that is linear in it.

    The derivative of the derivative: the backward product is linear in `by`, with the forward product as its slope.
    """
    by = torch.zeros_like(output, requires_grad=True)
    (slope,) = torch.autograd.grad(output, variable, by, create_graph=True, allow_unused=True)
    if slope is None:
        return torch.zeros_like(output)
    (found,) = torch.autograd.grad(slope, by, change)
    return found
