"""Growing a unit's rules: a regression tree, of which every question is a condition that reads as English.

The tree grows at the leaf where one more condition lowers the squared error the most (Breiman et al. 1984). Read with
"yes" before "no", its leaves are a list of rules of which the first that holds counts (Rivest 1987): no rule needs the
word "not".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.rules.candidate_matrix import CandidateMatrix
from cratelm.explain.rules.split import NOTHING, Split, Sums, best_split

RULES = 8
"""Rules that a unit has at most."""
CONDITIONS = 3
"""Conditions that a rule has at most."""
TOKENS = 8
"""Tokens that a rule names at most."""
MUST_GAIN = 0.005
"""A condition has to explain this share of a unit's variance at least."""


@dataclass
class Leaf:
    """Positions of a unit that one more condition could divide."""

    unit: int
    holds: np.ndarray
    """(positions,) bool."""
    asked: tuple[tuple[int, ...], ...]
    """The conditions that hold in it, as `Split.members` each."""
    sums: Sums = NOTHING
    """Over where each condition holds in it; NOTHING once it is divided."""
    best: Split | None = None
    below: "tuple[Leaf, ...]" = ()
    """Once it is divided: where its best condition holds, and where it does not."""

    def in_order(self) -> list["Leaf"]:
        """The undivided leaves in it, in the order in which they are read."""
        return [leaf for part in self.below for leaf in part.in_order()] if self.below else [self]


def grow(matrix: CandidateMatrix, activations: np.ndarray) -> list[Leaf]:
    """Each unit's tree from its activations (units, positions), as its root."""
    scaled = _scaled(activations)
    new = roots = [Leaf(unit, np.ones(scaled.shape[1], bool), ()) for unit in range(len(scaled))]
    _measure(matrix, scaled, roots)
    for _ in range(RULES - 1):
        _choose(matrix, scaled, new)
        divided = _divide(matrix, roots)
        new = [leaf for above in divided for leaf in above.below]
        _measure(matrix, scaled, [above.below[0] for above in divided])
        for above in divided:
            yes, no = above.below
            no.sums, above.sums = above.sums - yes.sums, NOTHING  # what does not hold is the rest
    _choose(matrix, scaled, new)
    _divide(matrix, roots)
    return roots


def _divide(matrix: CandidateMatrix, roots: Sequence[Leaf]) -> list[Leaf]:
    """Divide in each tree the leaf whose best condition gains the most, if there is one."""
    divided = []
    for root in roots:
        able = [leaf for leaf in root.in_order() if leaf.best]
        if able:
            divided.append(leaf := max(able, key=lambda leaf: leaf.best.gain if leaf.best else 0))
            leaf.below = _parted(matrix, leaf)
    return divided


def _parted(matrix: CandidateMatrix, leaf: Leaf) -> tuple[Leaf, Leaf]:
    assert leaf.best
    holds = leaf.holds & matrix.where(leaf.best.members)
    asked = (*leaf.asked, leaf.best.members)
    return Leaf(leaf.unit, holds, asked), Leaf(leaf.unit, leaf.holds & ~holds, leaf.asked)


def _scaled(activations: np.ndarray) -> np.ndarray:
    """The activations (units, positions) with mean 0 and variance 1: float32 sums of them lose nothing that counts."""
    centred = activations - activations.mean(1, keepdims=True, dtype=np.float64)
    spread = np.sqrt((centred**2).mean(1, keepdims=True))
    return (centred / np.where(spread > 0, spread, 1)).astype(np.float32)


def _measure(matrix: CandidateMatrix, scaled: np.ndarray, leaves: Sequence[Leaf]) -> None:
    """Sum over where each condition holds in each leaf."""
    if not leaves:
        return
    holds = np.stack([leaf.holds for leaf in leaves], axis=1).astype(np.float32)
    values = holds * scaled[[leaf.unit for leaf in leaves]].T
    sums = matrix.sums(np.concatenate([holds, values], axis=1))
    for place, leaf in enumerate(leaves):
        leaf.sums = Sums(sums[place], sums[place + len(leaves)])


def _choose(matrix: CandidateMatrix, scaled: np.ndarray, leaves: Sequence[Leaf]) -> None:
    """Find the best condition for each leaf."""
    least = MUST_GAIN * scaled.shape[1]  # the variance is 1
    for leaf in leaves:
        own = scaled[leaf.unit][leaf.holds]
        # No condition explains more than all that the leaf leaves unexplained.
        if len(leaf.asked) == CONDITIONS or (own**2).sum() - own.sum() ** 2 / max(len(own), 1) < least:
            continue
        values = np.stack([leaf.holds, leaf.holds * scaled[leaf.unit]], axis=1)
        whole = Sums(*matrix.totals(values).T[..., None])
        best = best_split(leaf.sums, whole, matrix.exclusive, TOKENS - matrix.tokens(leaf.asked))
        leaf.best = best if best is not None and best.gain >= least else None
