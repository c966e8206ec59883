"""Scores of detection, fuzzing and intruder: what an explanation, or the language model that reads it, answers."""

from typing import TYPE_CHECKING

import numpy as np

from cratelm.judges.sentences import Sentences
from cratelm.score.detection import (
    Asked,
    Trials,
    asked_in,
    balanced_sums,
    best_thresholds,
    found_lowest,
    line_ups,
    strengths,
)
from cratelm.score.sums import ExcerptSums, ratio
from cratelm.seeds import derive_seed
from cratelm.stats import places_in_group

if TYPE_CHECKING:
    from cratelm.score.layer import ScoredLayer

EVIDENCE = "openai"
"""Explanations from top excerpts of 64 tokens, so that the excerpts of 9 that fix a threshold are others."""


class Verdicts:
    """The answers of one layer's explanations."""

    def __init__(self, layer: "ScoredLayer") -> None:
        self.layer, self.explanations = layer, layer.explanations[EVIDENCE]
        self.count = len(layer.units)

    def classified(self, metric: str) -> tuple[ExcerptSums, ExcerptSums, np.ndarray]:
        """Detection or fuzzing: the sums of own and of shuffled explanations, and the failed answers, (units,)."""
        asked = asked_in(self.layer, metric, self.layer.protocol.scored_on)
        shown = asked_in(self.layer, metric, self.layer.protocol.explained_on)
        row, slot = self._row(asked), places_in_group(asked.excerpts.unit)
        own, other = (self._called(asked, shown, shuffled) for shuffled in (False, True))
        sums = [balanced_sums(asked, called, row, slot, self.count) for called in (own, other)]
        return sums[0], sums[1], self._failed(row, own)

    def _failed(self, row: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The answers of a language model that could not be used: (units,)."""
        useless = np.isnan(answers) & isinstance(self.explanations, Sentences)
        return np.bincount(row[useless], minlength=self.count)

    def _called(self, asked: Asked, shown: Asked, shuffled: bool) -> np.ndarray:
        """1 where a unit is said to fire, 0 where not, NaN where nothing can be said: (rows,)."""
        if isinstance(self.explanations, Sentences):
            unit = asked.excerpts.unit
            by = self.layer.shuffled.partner[unit] if shuffled else unit
            return self.explanations.verdicts(by, asked.excerpts.tokens, asked.marked)
        rows = self._row(shown)
        fitted = best_thresholds(rows, self._strength(shown, shuffled), shown.fires, self.count)
        threshold = fitted[self._row(asked)]
        called = self._strength(asked, shuffled) >= threshold
        return np.where(np.isnan(threshold), np.nan, called)  # without both kinds on the explain half: one-sided

    def _strength(self, asked: Asked, shuffled: bool) -> np.ndarray:
        return strengths(self.layer.simulate(self.explanations, asked.excerpts, shuffled), asked.marked)

    def _row(self, asked: Asked) -> np.ndarray:
        return np.searchsorted(self.layer.units, asked.excerpts.unit)

    def intruders(self) -> tuple[ExcerptSums, ExcerptSums, np.ndarray]:
        """As `classified`: of each trial, whether the silent excerpt is found."""
        layer = self.layer
        asked = asked_in(layer, "detection", layer.protocol.scored_on)
        generator = np.random.default_rng(derive_seed(layer.config.seed, "intruders", layer.layer))
        trials = line_ups(self._row(asked), asked.fires, generator)
        if isinstance(self.explanations, Sentences):
            # Whoever reads the excerpts themselves needs no explanation, and another's says nothing.
            own = self.explanations.intruders(asked.excerpts.tokens[trials.excerpt])
            other = np.full(len(own), 1 / trials.excerpt.shape[1])
        else:
            own, other = (found_lowest(self._strength(asked, shuffled)[trials.excerpt]) for shuffled in (False, True))
        sums = [self._trial_sums(asked, trials, found) for found in (own, other)]
        return sums[0], sums[1], self._failed(trials.row, own)

    def _trial_sums(self, asked: Asked, trials: Trials, found: np.ndarray) -> ExcerptSums:
        width = 1 + int(trials.slot.max(initial=0))
        document, sums = np.zeros((self.count, width), np.int64), np.zeros((self.count, width, 3))
        document[trials.row, trials.slot] = asked.excerpts.document[trials.excerpt[:, 0]]
        known = ~np.isnan(found)
        sums[trials.row, trials.slot] = np.stack([np.nan_to_num(found), known, known], axis=1)
        return ExcerptSums(document, sums, ratio)
