"""Which units of the layer below feed a unit, and which of the layer above it feeds, over a whole text.

Between two neighbouring layers, as in attribution.py with attention weights, norms and active units held:

    weight        the mean over tokens of what one more unit of activation adds to a pre-activation on the same token,
                  without attention; in CRATE with one ISTA step, two atoms' product through the norm's mean scale
    contribution  the mean over tokens of what is added, from all positions and through attention too
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from cratelm.circuits.attribution import through
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
    direct = tape.flow(sign * tape.before[layer][0, START:, coordinate].sum())
    # Without attention, a derivative of the sum at a position is that of the unit there.
    weight = direct.units[layer - 1][START:].double().sum(0)
    activations = tape.units[layer - 1][0].detach()
    given = (activations * through(tape, direct).units[layer - 1]).double()
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
    weight = _forward(target, [(source, one)])
    moved = [(source, given)]
    for number, heads in _attentions(tape, target):  # those between the two layers, the earliest first
        moved.append((heads, _forward(tape.attended[number], moved)))
    sums = [found[0, START:].double().sum(0) for found in (weight, _forward(target, moved))]
    whole = [torch.cat([one, -one]) if tape.signed[layer + 1] else one for one in sums]
    return whole[0], whole[1], source.shape[1] - START


def _attentions(tape: Tape, target: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """The attentions that a pre-activation reads without another one after them, and those before them."""
    needed = set(tape.flow(target.sum()).attention)
    for number in sorted(needed, reverse=True):
        needed |= set(tape.flow(tape.attended[number].sum()).attention)
    yield from ((number, tape.heads[number]) for number in sorted(needed))


def _forward(output: torch.Tensor, moved: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """What some changes of variables do to an output that is linear in them.

    The derivative of the derivative: the backward product is linear in `by`, with the forward product as its slope.
    """
    by = torch.zeros_like(output, requires_grad=True)
    variables, changes = zip(*moved, strict=True)
    back = torch.autograd.grad(output, variables, by, create_graph=True, allow_unused=True)
    reached = [(slope, change) for slope, change in zip(back, changes, strict=True) if slope is not None]
    if not reached:
        return torch.zeros_like(output)
    (found,) = torch.autograd.grad([one for one, _ in reached], by, [change for _, change in reached])
    return found
