"""Explainers that know nothing of a unit: what any score has to be above."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


@dataclass(frozen=True)
class Constant:
    """Expects the same of every unit everywhere."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Expected activations (rows, T)."""
        return np.ones(tokens.shape)

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """The same for every unit."""
        return "fires alike on everything"
