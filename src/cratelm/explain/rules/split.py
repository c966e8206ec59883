"""Which condition divides the positions of a leaf best, from sums alone.

A condition is judged in each part of the documents by the means that the other parts give (cross-validation), so that
a condition that holds by chance in a few places gains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOWARDS_LEAF = 1.0
"""So many positions with the mean of the whole leaf are added to those where a condition holds."""
LIKE = 0.5
"""A rare token joins a set where its mean goes at least this far from the leaf's mean towards the set's."""
SHARES = (0.0, 0.25, 0.5, 0.75)
"""Sets are tried of the tokens whose mean goes at least this far from the leaf's mean towards the farthest one."""


@dataclass(frozen=True)
class Sums:
    """Counts of positions and sums of activations, by part of the documents."""

    count: np.ndarray
    """(parts, conditions)."""
    total: np.ndarray
    """(parts, conditions)."""

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(self.count - other.count, self.total - other.total)

    def of(self, places: np.ndarray) -> "Sums":
        """Those of some conditions."""
        return Sums(self.count[:, places], self.total[:, places])

    def joined(self, sets: Sequence[np.ndarray]) -> "Sums":
        """Those of sets of conditions that exclude each other."""
        columns = [(self.count[:, places].sum(1), self.total[:, places].sum(1)) for places in sets]
        count, total = zip(*columns, strict=True)
        return Sums(np.stack(count, axis=1), np.stack(total, axis=1))

    def error(self, mean: np.ndarray) -> np.ndarray:
        """The squared error of expecting means (parts, conditions | 1), less the sum of squares: (conditions,)."""
        return (self.count * mean**2 - 2 * self.total * mean).sum(0)

    def elsewhere(self) -> tuple[np.ndarray, np.ndarray]:
        """For each part, counts and sums over the others: (parts, conditions) each."""
        return self.count.sum(0) - self.count, self.total.sum(0) - self.total

    def other_parts(self, prior: np.ndarray) -> np.ndarray:
        """The mean of the other parts, for each part: (parts, conditions); drawn to `prior` (parts, 1)."""
        count, total = self.elsewhere()
        return (total + TOWARDS_LEAF * prior) / (count + TOWARDS_LEAF)


@dataclass(frozen=True)
class Split:
    """A condition that could divide a leaf."""

    members: tuple[int, ...]
    """Places of conditions; where there are several, they exclude each other, and one of them has to hold."""
    gain: float
    """How much lower the squared error is."""


def best_split(within: Sums, leaf: Sums, exclusive: Sequence[np.ndarray], most: int) -> Split | None:
    """The best condition, or set of up to `most` exclusive ones; None where nothing lowers the error.

    `within` are the sums over where each condition holds in the leaf, `leaf` those of all of it (parts, 1).
    """
    count, total = leaf.elsewhere()
    prior = total / np.maximum(count, 1)
    gains = _gains(within, leaf, prior)
    for group in exclusive if not most else ():
        gains[group] = 0
    single = int(gains.argmax())
    best = Split((single,), float(gains[single]))
    sets = [members for group in exclusive for members in _sets(within.of(group), leaf, prior, group, most)]
    if sets:
        of_sets = _gains(within.joined(sets), leaf, prior)
        place = int(of_sets.argmax())
        if of_sets[place] > best.gain:
            best = Split(tuple(sets[place].tolist()), float(of_sets[place]))
    if best.gain <= 0:
        return None
    for group in exclusive:
        if best.members[0] in group:
            return Split(_completed(best.members, group, within.of(group), leaf, most), best.gain)
    return best


def _gains(within: Sums, leaf: Sums, prior: np.ndarray) -> np.ndarray:
    """How much lower the error is with a mean of its own on either side of each condition: (conditions,)."""
    outside = Sums(leaf.count - within.count, leaf.total - within.total)
    divided = sum(side.error(side.other_parts(prior)) for side in (within, outside))
    divides = (within.count.sum(0) > 0) & (outside.count.sum(0) > 0)
    # Rounding error must not decide between conditions that hold in the same places.
    return np.where(divides, np.round(leaf.error(prior) - divided, 3), 0)


def _completed(members: tuple[int, ...], group: np.ndarray, within: Sums, leaf: Sums, most: int) -> tuple[int, ...]:
    """A set with the tokens of its group that are like it, though too rare to show it in two parts of the documents.

    Alone they could be chance; the set has shown that the unit tells tokens apart at this place.
    """
    count, total = within.count.sum(0), within.total.sum(0)
    mean = leaf.total.sum() / leaf.count.sum()
    inside = np.isin(group, members)
    distance = np.where(count > 0, total / np.maximum(count, 1) - mean, 0)
    of_set = total[inside].sum() / count[inside].sum() - mean
    once = (within.count > 0).sum(0) == 1
    able = np.flatnonzero(~inside & once & (distance / of_set >= LIKE))
    able = able[np.argsort(-(count * distance / of_set)[able], kind="stable")][: max(most - len(members), 0)]
    return tuple(sorted([*members, *group[able].tolist()]))


def _sets(within: Sums, leaf: Sums, prior: np.ndarray, group: np.ndarray, most: int) -> list[np.ndarray]:
    """Sets of tokens of one group that could be worth a condition: those far above the leaf's mean, or far below."""
    own = within.error(np.broadcast_to(prior, within.count.shape)) - within.error(within.other_parts(prior))
    count, total = within.count.sum(0), within.total.sum(0)
    distance = total / np.maximum(count, 1) - leaf.total.sum() / leaf.count.sum()
    sets = []
    for away in (distance, -distance):
        able = np.flatnonzero((own > 0) & (away > 0))
        able = able[np.argsort(-own[able], kind="stable")]
        if most < 2 or len(able) < 2:
            continue
        farthest = away[able[:most]].max()
        chosen = [able[away[able] >= share * farthest][:most] for share in SHARES]
        sets += [np.sort(group[members]) for members in chosen if len(members) > 1]
    return sets
