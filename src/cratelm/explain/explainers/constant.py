"""The explainer that expects the same of every unit everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.explainer import Control
from cratelm.records.excerpts import Excerpts


@dataclass(frozen=True)
class Constant:
    """Expects the same of every unit everywhere."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Expected activations (rows, T)."""
        return np.ones(tokens.shape)

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """The same for every unit."""
        return "fires alike on everything"


class ConstantControl(Control):
    """Expects 1 of every unit on every token."""

    name = "constant"
    help = "predicts the same activation for every unit on every token: a control"
    order = 50

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> Constant:
        """The same, whatever the excerpts are."""
        return Constant()


CONSTANT = ConstantControl()
