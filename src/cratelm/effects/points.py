"""Where units are set to zero: positions at which each fires most, and positions drawn at random."""

from dataclasses import dataclass

import numpy as np

from cratelm.effects.config import EffectsConfig
from cratelm.records.text_sample import TextSample

STRONG = 0.5
"""Of a unit's maximum in the sample: above it, a unit counts as firing strongly."""


@dataclass(frozen=True)
class Points:
    """Positions of a sample of text, which are of (piece, position) each."""

    piece: np.ndarray
    """(points,) int64."""
    position: np.ndarray
    """(points,) int64: the position in the piece, whose next token is in the piece too."""

    def __len__(self) -> int:
        return len(self.piece)

    def __getitem__(self, kept: np.ndarray) -> "Points":
        return Points(self.piece[kept], self.position[kept])


def all_points(sample: TextSample) -> Points:
    """Every position that has a next token."""
    return Points(*np.nonzero(np.arange(sample.tokens.shape[1]) < sample.length[:, None] - 1))


def draw_units(activations: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Up to `count` of the units that fire, by their activations (points, units): ascending."""
    firing = np.flatnonzero((activations > 0).any(0))
    return np.sort(generator.permutation(firing)[:count])


def draw_strong(activations: np.ndarray, config: EffectsConfig, generator: np.random.Generator) -> np.ndarray:
    """The places at which one unit, of activations (points,), fires strongly: ascending."""
    strong = np.flatnonzero(activations >= STRONG * activations.max())
    if len(strong) < config.strong:
        highest = np.argsort(-activations, kind="stable")[: config.strong]
        return np.sort(highest[activations[highest] > 0])
    return np.sort(generator.permutation(strong)[: config.strong])


def draw_random(points: int, config: EffectsConfig, generator: np.random.Generator) -> np.ndarray:
    """Places among so many points, without repetition: ascending."""
    return np.sort(generator.permutation(points)[: config.random])


def partners(activations: np.ndarray, units: np.ndarray) -> np.ndarray:
    """For each of `units`, another unit of activations (points, all units) that fires nearly as often: (units,)."""
    rate = (activations > 0).mean(0)
    distance = np.abs(rate[None] - rate[units][:, None])
    distance[:, rate == 0] = np.inf
    distance[np.arange(len(units)), units] = np.inf
    return distance.argmin(1)
