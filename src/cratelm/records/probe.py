"""How many units a site has: seen by running the model over a few tokens."""

import torch

from cratelm.errors import InputError
from cratelm.units.sites import require_units

PROBE = 2, 3
"""Texts and tokens that sites are looked at with: more than one text, since some modules give the same for all at once.
"""


def width_seen(name: str, outputs: list[torch.Tensor]) -> int:
    """The coordinates of what a site gave for PROBE's tokens; InputError where it is not once (*PROBE, coordinates)."""
    if not outputs:
        raise InputError(f"{name} gives nothing: the model never calls it. Name other modules in --sites.")
    if len(outputs) > 1:
        raise InputError(
            f"{name} is called {len(outputs)} times in a pass, as where layers share a module: a token has no one "
            "activation there. Name other modules in --sites."
        )
    require_units(name, outputs[0])
    if outputs[0].shape[:2] != PROBE:
        raise InputError(
            f"{name} gives {tuple(outputs[0].shape)} for {PROBE[0]} texts of {PROBE[1]} tokens, where units are read "
            "from outputs (batch, tokens, units). Name other modules in --sites."
        )
    return outputs[0].shape[2]
