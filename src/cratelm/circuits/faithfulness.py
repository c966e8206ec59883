"""How far attribution is true of the model as it is, with nothing held.

Keeping: all units but a target's n strongest contributors are set to their mean over the text. How much of the
activation is left, next to n units drawn at random?
Intervening: one contributor is set to zero. Does the target change by what it contributes?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from cratelm.circuits.attribution import Attribution
from cratelm.circuits.graph import Node
from cratelm.circuits.tape import Tape
from cratelm.circuits.turned_off import preactivation_with, turned_off
from cratelm.stats import pearson

KEPT = (1, 4, 16, 64, 256)
"""How many contributors are kept."""


@dataclass(frozen=True)
class Faithfulness:
    """Of one target."""

    kept: list[float]
    """By KEPT: how near the target's pre-activation stays when its strongest contributors alone are kept. 1 is what it
    was, 0 as far from that as with none kept; too much counts like too little."""
    kept_at_random: list[float]
    """The same for as many contributors drawn at random."""
    predicted: list[float]
    """What the target should change by when a contributor is set to zero: the contribution, taken away."""
    real: list[float]
    """What it changes by."""

    @property
    def agreement(self) -> float:
        """Pearson's r of predicted and real changes."""
        return pearson(self.predicted, self.real)

    @property
    def slope(self) -> float:
        """The real change for one that is predicted, by least squares; NaN where none is predicted."""
        predicted, real = np.array(self.predicted), np.array(self.real)
        return float(predicted @ real / (predicted @ predicted)) if predicted.any() else float("nan")


def check(
    model: PreTrainedModel, tape: Tape, ids: torch.Tensor, found: Attribution, interventions: int, seed: int
) -> Faithfulness:
    """Try one attribution of a unit on the model itself, for ids (T,); raises ValueError for a logit's."""
    if found.target.layer is None:
        raise ValueError("only the attribution of a unit can be checked")
    layers = sorted(found.units)
    flat = torch.cat([found.units[layer].flatten() for layer in layers])
    strongest = flat.abs().argsort(descending=True, stable=True)
    fires = torch.nonzero(torch.cat([tape.units[layer].detach().flatten() for layer in layers])).flatten()
    drawn = fires[torch.randperm(len(fires), generator=torch.Generator().manual_seed(seed))]
    run = _Runs(model, tape, ids, found, layers)
    none = run.keeping(strongest[:0])
    lost = abs(found.value - none) or float("nan")  # where nothing is lost, nothing can be kept
    kept, at_random = (
        [1 - abs(run.keeping(order[:count]) - found.value) / lost for count in KEPT] for order in (strongest, drawn)
    )
    some = strongest[:interventions]
    real = [run.without(place) - found.value for place in some.tolist()]
    return Faithfulness(kept, at_random, (-flat[some]).tolist(), real)


@dataclass(frozen=True)
class _Runs:
    """The model, run again with other units."""

    model: PreTrainedModel
    tape: Tape
    ids: torch.Tensor
    found: Attribution
    layers: Sequence[int]

    def keeping(self, places: torch.Tensor) -> float:
        """The target's value when these units, numbered through all layers, are as they were and all others at their
        mean over the text."""
        first, changes = 0, {}
        for layer in self.layers:
            own = self.tape.units[layer][0].detach()
            inside = places[(places >= first) & (places < first + own.numel())] - first
            values = own.mean(0, keepdim=True).expand_as(own).flatten().clone()
            values[inside] = own.flatten()[inside]
            kept = values.reshape(own.shape)[None]
            changes[self.tape.sites[layer]] = lambda output, kept=kept: kept.to(output)
            first += own.numel()
        return preactivation_with(self.model, self.tape, self.ids, self.found.target, changes)

    def without(self, place: int) -> float:
        """The target's value when one unit is set to zero."""
        layer = next(layer for layer in self.layers if (place := place - self.tape.units[layer].numel()) < 0)
        position, unit = divmod(place + self.tape.units[layer].numel(), self.tape.units[layer].shape[-1])
        return turned_off(self.model, self.tape, self.ids, self.found.target, Node("unit", layer, unit, position))
