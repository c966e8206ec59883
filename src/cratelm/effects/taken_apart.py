"""A unit that fires, taken apart, and how far its attribution is true of the model (circuits/faithfulness.py)."""

import numpy as np
import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.faithfulness import KEPT, check
from cratelm.circuits.tape import Tape
from cratelm.effects.ablation import Ablation
from cratelm.effects.points import Points
from cratelm.errors import InputError
from cratelm.models.devices import device_of
from cratelm.units.unit_site import Site

INTERVENTIONS = 10
"""Contributors of each unit that are set to zero, the strongest."""


def why_not(ablation: Ablation, sites: list[Site]) -> str | None:
    """Why units at these sites cannot be taken apart; None where they can."""
    try:
        Tape.of(ablation.network, [site.name for site in sites], _ids(ablation, 0))
    except InputError as error:
        return str(error)
    return None


def faithfulness(
    ablation: Ablation, sites: list[Site], layer: int, unit: int, points: Points, seed: int
) -> dict[str, float]:
    """Of one unit of a layer above the first, at the first of the points: what is left and how predictions do."""
    piece, position = int(points.piece[0]), int(points.position[0]) + 1  # after the start token
    ids = _ids(ablation, piece)
    tape = Tape.of(ablation.network, [site.name for site in sites], ids)
    found = attribute(tape, Target(layer, unit, position))
    checked = check(ablation.network, tape, ids, found, INTERVENTIONS, seed)
    kept = {f"kept_{count}": share for count, share in zip(KEPT, checked.kept, strict=True)}
    drawn = {f"kept_{count}_shuffled": share for count, share in zip(KEPT, checked.kept_at_random, strict=True)}
    return kept | drawn | {"predicted": checked.agreement, "slope": checked.slope}


def _ids(ablation: Ablation, piece: int) -> torch.Tensor:
    """The start token and a whole piece."""
    sample = ablation.sample
    ids = np.concatenate([[ablation.start], sample.tokens[piece, : sample.length[piece]]])
    return torch.from_numpy(ids).to(device_of(ablation.network))


UNKNOWN = {name: np.nan for count in KEPT for name in (f"kept_{count}", f"kept_{count}_shuffled")}
UNKNOWN |= {"predicted": np.nan, "slope": np.nan}
"""Of a unit that was not taken apart."""
