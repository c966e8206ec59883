"""What one unit does to the model's output, at the positions where it is set to zero."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from cratelm.effects import measures
from cratelm.effects.ablation import Ablation
from cratelm.effects.points import Points
from cratelm.explain.explainer import Explanations
from cratelm.stats import pearson
from cratelm.units.unit_site import Site

ACTIVATION = "activation"
"""What takes the place of an explanation, to see how well any could do: the unit's own activations."""


@dataclass(frozen=True)
class Places:
    """Where one unit is set to zero, as places among all points, ascending."""

    strong: np.ndarray
    drawn: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """All of them, ascending, each once."""
        return np.union1d(self.strong, self.drawn)


@dataclass(frozen=True)
class Read:
    """What the model says as it is, at some of the points."""

    every: Points
    places: np.ndarray
    """Ascending, among all points."""
    logits: torch.Tensor
    """(places, V)."""

    @classmethod
    def of(cls, ablation: Ablation, every: Points, places: np.ndarray) -> "Read":
        return cls(every, places, ablation.logits(every[places]))


@dataclass(frozen=True)
class Said:
    """What an explainer says of a layer."""

    explanations: Explanations
    units: np.ndarray | None
    """Of whom, ascending; of all with None."""

    def expected(self, unit: int, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """What is expected of a unit on pieces of text (pieces, T) at place (pieces,); NaN of one without a word."""
        if self.units is not None and unit not in self.units:
            return np.full(tokens.shape, np.nan)
        return self.explanations.simulate(np.full(len(tokens), unit), tokens, place)


@dataclass(frozen=True)
class UnitEffects:
    """One unit, and where it is set to zero."""

    ablation: Ablation
    site: Site
    activations: np.ndarray
    """(all points, all units)."""
    read: Read
    unit: int
    partner: int
    """Another unit that fires as often."""
    places: Places
    vocabulary: int

    def effects(self, lens: np.ndarray | None, lens_of_another: np.ndarray | None) -> dict[str, float]:
        """Fidelity and necessity."""
        change, loss = self._of(self.places.strong)
        own = self.activations[:, self.unit]
        weaker = own[self.places.drawn] < own[self.places.strong].min()
        elsewhere = self._of(self.places.drawn)[1][weaker]
        found = {
            "activation": float(own[self.places.strong].mean()),
            "loss": float(loss.mean()),
            "loss_elsewhere": float(elsewhere.mean()) if len(elsewhere) else np.nan,
            "loss_of_another": float(self._set_to_zero(self.partner, self.places.strong)[1].mean()),
        }
        for name, said in (("", lens), ("_shuffled", lens_of_another)):
            known = said is not None
            found[f"fidelity{name}"] = float(measures.rank_correlation(said, change).mean()) if known else np.nan
            found[f"as_said{name}"] = float(measures.share_as_said(said, change).mean()) if known else np.nan
        return found

    def follows(self, said: dict[str, Said], other: int) -> dict[str, float]:
        """How the size of the unit's effects goes with what explanations expect, and another unit's explanations."""
        size = measures.size(torch.from_numpy(self._of(self.places.drawn)[0]))
        found = {f"follows_{ACTIVATION}": pearson(self.activations[self.places.drawn, self.unit], size)}
        for name, one in said.items():
            for control, unit in (("", self.unit), ("_shuffled", other)):
                found[f"follows_{name}{control}"] = pearson(self._expected(one, unit), size)
        return found

    def _expected(self, said: Said, unit: int) -> np.ndarray:
        """What is expected of a unit at the positions drawn at random: (random,)."""
        points, sample = self.read.every[self.places.drawn], self.ablation.sample
        pieces, row = np.unique(points.piece, return_inverse=True)
        expected = said.expected(unit, sample.tokens[pieces], sample.place[pieces])
        return expected[row, points.position]

    def _of(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the unit itself adds, at some of its places."""
        change, loss = self._everywhere
        rows = np.searchsorted(self.places.both, places)
        return change[rows], loss[rows]

    @cached_property
    def _everywhere(self) -> tuple[np.ndarray, np.ndarray]:
        return self._set_to_zero(self.unit, self.places.both)

    def _set_to_zero(self, unit: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a unit adds to the logits (places, V), and takes from the loss (places,): 0 where it does not fire."""
        change, loss = np.zeros((len(places), self.vocabulary)), np.zeros(len(places))
        fires = np.flatnonzero(self.activations[places, unit] > 0)
        if len(fires):
            points = self.read.every[places[fires]]
            before = self.read.logits[np.searchsorted(self.read.places, places[fires])]
            without = self.ablation.without(self.site, np.full(len(fires), unit), points)
            change[fires] = measures.added(before[:, : self.vocabulary], without[:, : self.vocabulary]).numpy()
            target = self.ablation.sample.tokens[points.piece, points.position + 1]
            loss[fires] = measures.loss_added(before, without, target)
        return change, loss
