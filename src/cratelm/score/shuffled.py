"""The shuffled control: every unit read by the explanation of another one.

Where a threshold is applied, an explanation's size matters: what it expects is in the activations of the unit that it
was made for. Another unit's simulation is therefore brought to the reader's own scale first.
"""

from dataclasses import dataclass

import numpy as np

from cratelm.explain.explainer import Explanations
from cratelm.stats import derangement


@dataclass(frozen=True)
class Shuffled:
    """Whose explanation each unit gets, and how large that one's activations are relative to its own."""

    partner: np.ndarray
    """(highest unit + 1,) int64: by the number of a unit, the number of the unit whose explanation it gets."""
    scale: np.ndarray
    """(highest unit + 1,): a unit's maximum over that of its partner, 0 where the partner never fires."""

    @classmethod
    def draw(cls, units: np.ndarray, maximum: np.ndarray, seed: int) -> "Shuffled":
        """Partners for units (units,), drawn among those that fire; `maximum` (all units,) is the explain half's.

        A unit that never fires says nothing of any other, so as a partner it would make the control too low. Where
        fewer than two fire, partners are drawn among all.
        """
        firing = units[maximum[units] > 0]
        drawn_from = firing if len(firing) > 1 else units
        partner = np.zeros(int(units.max(initial=-1)) + 1, np.int64)
        partner[units] = np.resize(drawn_from, len(units))  # of a unit that never fires: it scores nothing either way
        if len(drawn_from) > 1:
            partner[drawn_from] = derangement(drawn_from, np.random.default_rng(seed))
        own, theirs = maximum[: len(partner)], maximum[partner]
        with np.errstate(invalid="ignore", divide="ignore"):
            return cls(partner, np.where(theirs > 0, own / theirs, 0.0))

    def simulate(self, explanations: Explanations, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray):
        """What units (rows,) would do if their partners' explanations were theirs, on tokens (rows, T): (rows, T)."""
        return explanations.simulate(self.partner[unit], tokens, place) * self.scale[unit][:, None]
