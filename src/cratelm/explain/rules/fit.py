"""Fitting rules: to a sample of the text that all units share, or to the excerpts of each unit."""

from collections.abc import Sequence

import numpy as np

from cratelm.explain.rules.candidate_matrix import CandidateMatrix
from cratelm.explain.rules.grow import grow
from cratelm.explain.rules.rule_lists import Rule, rules_of
from cratelm.explain.rules.text_view import TextView
from cratelm.records.excerpts import Excerpts

TOGETHER = 32
"""Units that are fitted together, which bounds memory."""


def fit_shared(view: TextView, document: np.ndarray, known: np.ndarray, activations: np.ndarray) -> list[list[Rule]]:
    """The rules of units whose activations (units, rows, T) on the same texts are known.

    `document` (rows,) is where each row comes from; `known` (rows, T) is false at padding.
    """
    matrix = CandidateMatrix.of(view, document, known)
    rules = []
    for begin in range(0, len(activations), TOGETHER):
        values = activations[begin : begin + TOGETHER].reshape(-1, view.tokens.size)[:, matrix.order]
        roots = grow(matrix, values)
        rules += [rules_of(root, matrix, own) for root, own in zip(roots, values, strict=True)]
    return rules


def fit_excerpts(excerpts: Excerpts, texts: Sequence[str]) -> dict[int, list[Rule]]:
    """The rules of each unit from its own excerpts alone."""
    rules = {}
    for unit in np.unique(excerpts.unit).tolist():
        own = excerpts.where(excerpts.unit == unit)
        view = TextView(own.tokens, own.place, texts)
        known = np.ones(own.tokens.shape, bool)
        rules[unit] = fit_shared(view, own.document, known, own.activations[None])[0]
    return rules
