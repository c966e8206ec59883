"""Units held at a value while a model runs: the other half of reading them, at the same call site."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from cratelm.errors import InputError
from cratelm.ranges import shown
from cratelm.units.sites import at_sites, require_units
from cratelm.units.unit_site import Site

OPERATIONS = {"": "set", "+": "add", "*": "scale"}
LARGEST = 3.4028235e38
"""Of float32, in which models are steered; it rounds to the largest number that there is."""
GRAMMAR = re.compile(r"(?:[^/=]*/)?(\d+)/(\d+)(?:@(-?\d+(?:,-?\d+)*))?([+*]?)=(.+)")


@dataclass(frozen=True, kw_only=True)
class Clamp:
    """What is done to one unit."""

    layer: int
    """The number of the unit's site, in the model's order."""
    unit: int
    """The unit's place in the site's last dimension."""
    operation: str
    """`set` to the value, `add` it, or `scale` by it; a unit set to 0 is ablated."""
    value: float
    """In the units of the activation itself."""
    positions: tuple[int, ...] | None = None
    """The places that are clamped, counted in what the model reads, its start token included; all of them with None."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `LAYER/UNIT=VALUE`, with `+=` to add, `*=` to scale, and `@P,P…` after the unit for some places.

        An address may begin with the model's name, as tables print it. Raises InputError for anything else.
        """
        found = GRAMMAR.fullmatch(text)
        try:
            if found is None:
                raise ValueError
            layer, unit, places, sign, value = found.groups()
            number = float(value)
            address = int(layer), int(unit)
            positions = tuple(int(place) for place in places.split(",")) if places else None
        except ValueError as error:
            raise InputError(
                f"{shown(text)} does not say what to do to a unit. Write LAYER/UNIT=VALUE: 1/37=8 sets unit 37 of "
                "layer 1 to 8, 1/37+=8 adds 8, '1/37*=2' doubles it, 1/37=0 ablates it, and 1/37@0,-1=8 sets it at the "
                "first and last token alone."
            ) from error
        if not abs(number) < float("inf"):
            raise InputError(f"{shown(text)}: a unit cannot be held at {shown(value)}.")
        return cls(layer=address[0], unit=address[1], operation=OPERATIONS[sign], value=number, positions=positions)

    def times(self, strength: float) -> "Clamp":
        """The same clamp, `strength` times as strong: 0 is scaling by one or adding nothing, but setting to 0."""
        if self.operation == "scale":
            return replace(self, value=1 + strength * (self.value - 1))
        return replace(self, value=strength * self.value)

    def within(self, tokens: int) -> "Clamp":
        """The same clamp with places counted from the first of `tokens`, so that they stay when more are written.

        Raises InputError for a place that the model does not read.
        """
        if self.positions is None:
            return self
        wrong = [place for place in self.positions if not -tokens <= place < tokens]
        if wrong:
            raise InputError(f"there is no place {wrong[0]}: the model reads {tokens} tokens here.")
        return replace(self, positions=tuple(place % tokens for place in self.positions))

    def apply(self, activations: torch.Tensor) -> None:
        """Change activations (batch, tokens, units) in place."""
        places = slice(None) if self.positions is None else list(self.positions)
        column = activations[:, places, self.unit]  # (batch, places)
        if self.operation == "set":
            changed = column.new_tensor(self.value).expand_as(column)  # full_like refuses what would be rounded
        else:
            changed = column + self.value if self.operation == "add" else column * self.value
        activations[:, places, self.unit] = changed


def at_coordinate(clamp: Clamp, sites: Sequence[Site]) -> Clamp:
    """A clamp of a unit as one of the module's coordinates; they differ at sites whose values can be negative.

    Raises InputError where there is no such unit.
    """
    if not clamp.layer < len(sites):
        raise InputError(f"there is no layer {clamp.layer}: the model has {len(sites)}, counted from 0.")
    site = sites[clamp.layer]
    if clamp.unit >= site.units:
        raise InputError(f"layer {clamp.layer} has {site.units} units: there is no unit {clamp.unit}.")
    half = site.units // 2
    if not site.signed or clamp.unit < half:
        return clamp
    value = clamp.value if clamp.operation == "scale" else -clamp.value
    return replace(clamp, unit=clamp.unit - half, value=value)


@contextmanager
def clamped(model: nn.Module, sites: Sequence[str], clamps: Sequence[Clamp]) -> Iterator[None]:
    """While this context is open, every forward pass of `model` runs with the clamps, in their order.

    Raises InputError where a value is too large for float32, or a clamp names a site, or at the first pass a unit, that
    is not there.
    """
    by_site: dict[str, list[Clamp]] = {}
    for clamp in clamps:
        if not abs(clamp.value) <= LARGEST:  # NaN is not
            raise InputError(
                f"unit {clamp.layer}/{clamp.unit} cannot be held at {clamp.value:g}: float32 ends before it."
            )
        if clamp.layer >= len(sites):
            raise InputError(
                f"there is no layer {clamp.layer}: the sites are 0 to {len(sites) - 1}, {', '.join(sites)}."
            )
        by_site.setdefault(sites[clamp.layer], []).append(clamp)

    def visit(site: str, output: torch.Tensor) -> torch.Tensor:
        require_units(site, output)
        changed = output.clone()
        for clamp in by_site[site]:
            _require_unit(clamp, output.shape[-1])
            clamp.apply(changed)
        return changed

    with at_sites(model, list(by_site), visit):
        yield


def _require_unit(clamp: Clamp, units: int) -> None:
    if clamp.unit >= units:
        raise InputError(f"layer {clamp.layer} has {units} units: there is no unit {clamp.unit}.")
