"""Which condition divides the positions of a leaf best, from sums alone.

A condition is judged in each part of the documents by the means that the other parts give (cross-validation), so that
a condition that holds by chance in a few places gains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOWARDS_LEAF = 1.0
"""So many positions with the mean of the whole leaf are added to those where a condition holds."""
SHARES = (0.0, 0.25, 0.5, 0.75)
"""Sets are tried of the tokens whose mean goes at least this far from the leaf's mean towards the farthest one's."""
LIKE = 0.5
"""A rare token joins a set where its mean goes at least this far from the leaf's mean towards the set's."""


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

    def joined(self, sets: Sequence[Sequence[int]]) -> "Sums":
        """Those of sets of conditions that exclude each other."""
        places = np.concatenate(sets)
        begins = np.cumsum([0, *map(len, sets[:-1])])
        return Sums(*(np.add.reduceat(values[:, places], begins, axis=1) for values in (self.count, self.total)))

    def error(self, prior: np.ndarray) -> np.ndarray:
        """The squared error of expecting, in each part, the mean of the others, less the sum of squares: (conditions,).

        That mean is drawn to `prior` (parts, 1).
        """
        mean = self.total.sum(0) - self.total
        mean += TOWARDS_LEAF * prior
        mean /= self.count.sum(0) - self.count + TOWARDS_LEAF
        return (mean * (self.count * mean - 2 * self.total)).sum(0)


NOTHING = Sums(np.empty((0, 0)), np.empty((0, 0)))


@dataclass(frozen=True)
class Split:
    """A condition that could divide a leaf."""

    members: tuple[int, ...]
    """Places of conditions; where there are several, they exclude each other, and one of them has to hold."""
    gain: float
    """How much lower the squared error is."""


@dataclass(frozen=True)
class _Group:
    """The tokens of one place before the current one, which exclude each other, within a leaf."""

    places: np.ndarray
    """(tokens,): their places among the conditions."""
    own: np.ndarray
    """(tokens,): how much lower the squared error is where the token is expected to have a mean of its own."""
    count: np.ndarray
    """(tokens,)."""
    distance: np.ndarray
    """(tokens,): how far the token's mean is above the leaf's."""
    parts: np.ndarray
    """(tokens,): in how many parts of the documents the token occurs."""


def best_split(within: Sums, leaf: Sums, exclusive: Sequence[np.ndarray], most: int) -> Split | None:
    """The best condition, or set of up to `most` exclusive ones; None where nothing lowers the error.

    `within` are the sums over where each condition holds in the leaf, `leaf` those of all of it (parts, 1).
    """
    prior = (leaf.total.sum(0) - leaf.total) / np.maximum(leaf.count.sum(0) - leaf.count, 1)
    inside = within.error(prior)
    gains = _gains(within, leaf, prior, inside)
    groups = [_group(within, leaf, prior, inside, places) for places in exclusive] if most else []
    for places in exclusive if not most else ():
        gains[places] = 0
    single = int(gains.argmax())
    best = Split((single,), float(gains[single]))
    sets = {members: group for group in groups for members in _sets(group, most)}
    if sets:
        joined = within.joined([*sets])
        of_sets = _gains(joined, leaf, prior, joined.error(prior))
        place = int(of_sets.argmax())
        if of_sets[place] > best.gain:
            best = Split([*sets][place], float(of_sets[place]))
    if best.gain <= 0:
        return None
    group = next((group for group in groups if best.members[0] in group.places), None)
    return best if group is None else Split(_completed(best.members, group, most), best.gain)


def _gains(within: Sums, leaf: Sums, prior: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """How much lower the error is with a mean of its own on either side of each condition: (conditions,)."""
    outside = Sums(leaf.count - within.count, leaf.total - within.total)
    of_leaf = (leaf.count * prior**2 - 2 * leaf.total * prior).sum()
    count = within.count.sum(0)
    divides = (count > 0) & (count < leaf.count.sum())
    # Rounding error must not decide between conditions that hold in the same places.
    return np.where(divides, np.round(of_leaf - inside - outside.error(prior), 3), 0)


def _group(within: Sums, leaf: Sums, prior: np.ndarray, inside: np.ndarray, places: np.ndarray) -> _Group:
    tokens = within.of(places)
    count = tokens.count.sum(0)
    own = (tokens.count * prior**2 - 2 * tokens.total * prior).sum(0) - inside[places]
    distance = tokens.total.sum(0) / np.maximum(count, 1) - leaf.total.sum() / leaf.count.sum()
    return _Group(places, own, count, np.where(count > 0, distance, 0), (tokens.count > 0).sum(0))


def _sets(group: _Group, most: int) -> list[tuple[int, ...]]:
    """Sets of tokens that could be worth a condition: those far above the leaf's mean, or far below."""
    sets = []
    for away in (group.distance, -group.distance):
        able = np.flatnonzero((group.parts > 1) & (group.own > 0) & (away > 0))
        if most < 2 or len(able) < 2:
            continue
        able = able[np.argsort(-group.own[able], kind="stable")]
        farthest = away[able[:most]].max()
        for share in SHARES:
            chosen = able[away[able] >= share * farthest][:most]
            sets.append(tuple(np.sort(group.places[chosen]).tolist()))
    return [members for members in dict.fromkeys(sets) if len(members) > 1]


def _completed(members: tuple[int, ...], group: _Group, most: int) -> tuple[int, ...]:
    """A set with the tokens of its group that are like it, though too rare to show it in two parts of the documents.

    Alone they could be chance; the set has shown that the unit tells tokens apart at this place.
    """
    inside = np.isin(group.places, members)
    of_set = (group.count * group.distance)[inside].sum() / group.count[inside].sum()
    likeness = group.distance / of_set
    able = np.flatnonzero(~inside & (group.parts == 1) & (likeness >= LIKE))
    able = able[np.argsort(-(group.count * likeness)[able], kind="stable")][: max(most - len(members), 0)]
    return tuple(sorted([*members, *group.places[able].tolist()]))
