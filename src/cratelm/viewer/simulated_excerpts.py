"""What explanations expect of one unit on its excerpts."""

from collections.abc import Mapping

import numpy as np

from cratelm.explain.explainer import Explanations
from cratelm.records.excerpts import Excerpts
from cratelm.score.excerpt_sums import Series
from cratelm.score.positions import Positions
from cratelm.viewer.viewed_study import ViewedModel


def explanations_of(model: ViewedModel, layer: int, length: int) -> dict[str, Explanations]:
    """The explanations that excerpts of a length are scored by: those from top excerpts, or from all strengths."""
    evidence = model.protocol.evidence_of(length)
    if evidence is None:
        return {}
    return {name: model.explanation(layer, name, evidence) for name in model.simulating}


def simulated(explanations: Mapping[str, Explanations], excerpts: Excerpts) -> dict[str, np.ndarray]:
    """What each explanation expects of the unit on its excerpts: (rows, length) each."""
    return {
        name: explanation.simulate(excerpts.unit, excerpts.tokens, excerpts.place)
        for name, explanation in explanations.items()
    }


def correlations(truth: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Pearson's r of each excerpt by the package's own metric: (rows, length) twice to (rows,)."""
    rows, length = truth.shape
    row = np.repeat(np.arange(rows), length)
    document = np.zeros((rows, 1), np.int64)
    positions = Positions(row, np.zeros_like(row), truth.ravel().astype(np.float64), document)
    return Series(positions, expected.ravel()).pearson().scores()
