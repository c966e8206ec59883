"""Where a layer's units are, as it is known without the model: reading this takes no PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """Where a layer's units are; its place in a model's list is the layer's number."""

    name: str
    """The module's name in the model."""
    units: int
    signed: bool
    """Unit u < n is the positive part of coordinate u, unit n + u its negative part."""
