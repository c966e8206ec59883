"""Fitting rules: to the sample of the text that all units share, or to the excerpts of each unit."""

from collections.abc import Sequence

import numpy as np

from cratelm.explain.rules.candidate_matrix import CandidateMatrix
from cratelm.explain.rules.grow import grow
from cratelm.explain.rules.pieces import Pieces, joined, of_excerpts, of_sample
from cratelm.explain.rules.rule_lists import Rule, rules_of
from cratelm.records.excerpts import Excerpts
from cratelm.records.text_sample import TextSample
from cratelm.seeds import derive_seed

TOGETHER = 32
"""Units that are fitted together, which bounds memory."""
RARE = 3
"""A unit that fires in fewer documents of the sample is fitted to its excerpts, and to some of the sample."""
BACKGROUND = 32
"""Pieces of the sample that a rare unit's excerpts are told apart from."""


def fit_sample(sample: TextSample, shown: Excerpts, texts: Sequence[str], seed: int) -> dict[int, list[Rule]]:
    """The rules of the units of a text sample, which is cut into pieces as long as the excerpts `shown` of them.

    Rules see no further back than they will when such excerpts are simulated.
    """
    pieces, activations = of_sample(sample, shown.tokens.shape[1])
    # A unit that is not finite cannot be scored. Its explanation does not matter, but it must not affect the others.
    activations = np.where(np.isfinite(activations), activations, 0)
    fires = activations.max(2, initial=0) > 0  # (units, pieces)
    rare = np.array([len(np.unique(pieces.document[own])) < RARE for own in fires], bool)
    rules = dict(zip(sample.units[~rare].tolist(), _fit(pieces, activations[~rare], texts), strict=True))
    generator = np.random.default_rng(derive_seed(seed, "background"))
    some = np.sort(generator.permutation(len(pieces.document))[:BACKGROUND])
    for place in np.flatnonzero(rare).tolist():
        unit = int(sample.units[place])
        own = shown.where(shown.unit == unit)
        both = joined(of_excerpts(own), pieces.where(some))
        rules[unit] = _fit(both, np.concatenate([own.activations, activations[place, some]])[None], texts)[0]
    return rules


def fit_excerpts(excerpts: Excerpts, texts: Sequence[str]) -> dict[int, list[Rule]]:
    """The rules of each unit from its own excerpts alone."""
    rules = {}
    for unit in np.unique(excerpts.unit).tolist():
        own = excerpts.where(excerpts.unit == unit)
        rules[unit] = _fit(of_excerpts(own), own.activations[None], texts)[0]
    return rules


def _fit(pieces: Pieces, activations: np.ndarray, texts: Sequence[str]) -> list[list[Rule]]:
    """The rules of units whose activations (units, rows, T) on the same pieces are known."""
    if not len(activations):
        return []
    matrix = CandidateMatrix.of(pieces.view(texts), pieces.document, pieces.known)
    rules = []
    for begin in range(0, len(activations), TOGETHER):
        some = activations[begin : begin + TOGETHER]
        values = some.reshape(len(some), -1)[:, matrix.order]
        roots = grow(matrix, values)
        rules += [rules_of(root, matrix, own) for root, own in zip(roots, values, strict=True)]
    return rules
