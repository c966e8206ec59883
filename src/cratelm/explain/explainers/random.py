"""The explainer that expects a random number on each token: what any score has to be above."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.explainer import Control
from cratelm.records.excerpts import Excerpts
from cratelm.seeds import derive_seed


@dataclass(frozen=True)
class RandomNumbers:
    """Expects of each unit a number on each token, drawn once for all from [0, 1)."""

    vocabulary: int
    seed: int

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Expected activations (rows, T) of units (rows,) on tokens (rows, T)."""
        table = np.random.default_rng(derive_seed(self.seed, "random explainer")).random(self.vocabulary)
        # A unit reads the one table from a place of its own.
        return table[(tokens + 7919 * unit[:, None]) % self.vocabulary]

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """The same for every unit."""
        return "fires at random on some tokens"


class RandomControl(Control):
    """A random number a token."""

    name = "random"
    help = "predicts a random activation on each token: a control"
    order = 40

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> RandomNumbers:
        """The same, whatever the excerpts are."""
        return RandomNumbers(len(texts), seed)


RANDOM = RandomControl()
