"""What has been measured of one model, and the summary of it that tables and figures are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri  # the normal's quantile: scipy.stats takes most of a second to import

from cratelm.artifacts import Artifact, read_json
from cratelm.records.store import read_layers, read_units
from cratelm.score.score import read_replicates, read_scores, replicates_key
from cratelm.stats import CONFIDENCE


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, mean: float, replicates: np.ndarray) -> "Estimate":
        """The mean, with the interval of a normal that has the spread of its bootstrap replicates.

        The replicates' own mean and quantiles have no part: a replicate holds some excerpts twice and others not at
        all, so a correlation over it is a little lower than over as many different excerpts; and the quantiles of a
        few hundred replicates lie too near to each other.
        """
        if np.isnan(replicates).all():  # nothing could be scored
            return cls(float(mean), float("nan"), float("nan"))
        half = float(ndtri((1 + CONFIDENCE) / 2) * np.nanstd(replicates, ddof=1))
        return cls(float(mean), float(mean) - half, float(mean) + half)


@dataclass(frozen=True)
class Measured:
    """The finished stages of one model, or of the sparse autoencoders on it."""

    model: Artifact
    records: Artifact
    explanations: Artifact
    scores: Artifact
    saes: Artifact | None = None
    """The autoencoders whose latents are the units, if they are."""
    effects: Artifact | None = None
    """What setting units to zero does, where it was measured."""

    @property
    def name(self) -> str:
        """The model's name in the study."""
        return (self.saes or self.model).path.name

    @cached_property
    def quality(self) -> dict[str, Any]:
        """What the autoencoders cost the model, as sae/quality.py measured it."""
        return read_json(self.saes.path / "quality.json") if self.saes else {}

    @property
    def loss(self) -> float:
        """Validation loss, nats a token, of the model with its autoencoders' reconstructions in the place of its codes.

        What the autoencoders add to it is measured on fewer documents than the model's own.
        """
        added = self.quality["together"]["delta_loss"]["mean"] if self.saes else 0.0
        return self.training["nats_per_token"] + added

    @cached_property
    def training(self) -> dict[str, Any]:
        """What training the model came to: parameters, tokens, validation loss."""
        return read_json(self.model.path / "training.json")

    @cached_property
    def layers(self) -> list[int]:
        """The number of units of each layer."""
        return read_layers(self.records)

    @cached_property
    def units(self) -> dict[str, np.ndarray]:
        """The scores of all units: a column a name."""
        return read_scores(self.scores)

    @cached_property
    def _replicates(self) -> dict[str, np.ndarray]:
        return read_replicates(self.scores)

    def rows(self, explainer: str, metric: str, layer: int | None) -> np.ndarray:
        """Which rows of `units` are of this explainer, metric and layer; of all layers with None."""
        rows = (self.units["explainer"] == explainer) & (self.units["metric"] == metric)
        return rows if layer is None else rows & (self.units["layer"] == layer)

    def has(self, explainer: str, metric: str) -> bool:
        """Whether this was measured."""
        return bool(self.rows(explainer, metric, None).any())

    def has_replicates(self, explainer: str, metric: str) -> bool:
        """Whether its mean has an interval."""
        return replicates_key(0, explainer, metric, "own") in self._replicates

    def replicates(self, explainer: str, metric: str, layer: int | None, name: str = "own") -> np.ndarray:
        """Bootstrap replicates of a layer's mean score, or of the mean over all layers."""
        keys = [replicates_key(at, explainer, metric, name) for at in self._each(layer)]
        # All layers draw the same documents in one replicate, so their means belong together.
        return np.mean([self._replicates[key] for key in keys], axis=0)

    def mean(self, explainer: str, metric: str, layer: int | None, column: str = "score") -> float:
        """The mean of a column over a layer's units that have it, or the mean over all layers of that."""
        rows = [self.rows(explainer, metric, at) for at in self._each(layer)]
        return float(np.mean([_mean(self.units[column][row]) for row in rows]))

    def _each(self, layer: int | None) -> Sequence[int]:
        """The layers that a number is the mean over: each counts once, however many units it has."""
        return range(len(self.layers)) if layer is None else [layer]

    def score(self, explainer: str, metric: str, layer: int | None) -> Estimate:
        """The mean score: units that cannot be scored count as chance does, 0 for correlations."""
        return Estimate.of(self.mean(explainer, metric, layer), self.replicates(explainer, metric, layer))

    def shuffled(self, explainer: str, metric: str, layer: int | None) -> Estimate:
        """The mean score that other units' explanations get."""
        mean = self.mean(explainer, metric, layer, "shuffled")
        return Estimate.of(mean, self.replicates(explainer, metric, layer, "shuffled"))

    def above_shuffled(self, explainer: str, metric: str, layer: int | None) -> Estimate:
        """The mean score less the shuffled one, the two paired in each replicate."""
        own, other = (self.replicates(explainer, metric, layer, name) for name in ("own", "shuffled"))
        mean = self.mean(explainer, metric, layer) - self.mean(explainer, metric, layer, "shuffled")
        return Estimate.of(mean, own - other)

    def share(self, explainer: str, metric: str, layer: int | None, status: str) -> float:
        """The share of a layer's units with a status, or the mean over layers of that."""
        rows = [self.rows(explainer, metric, at) for at in self._each(layer)]
        return float(np.mean([(self.units["status"][row] == status).mean() for row in rows]))

    def mean_of_scored(self, explainer: str, metric: str, layer: int | None) -> float:
        """The mean over a layer's units that are neither dead nor silent nor constant, or the mean of that over the
        layers that have one; NaN where there is none."""
        scored = self.units["status"] == "scored"
        rows = [self.rows(explainer, metric, at) & scored for at in self._each(layer)]
        return _mean(np.array([_mean(self.units["score"][row]) for row in rows]))

    def statistic(self, name: str, layer: int | None) -> float:
        """The mean of a statistic of the score half over a layer's units that have it, or the mean of that over the
        layers that have one; NaN where there is none."""
        return _mean(np.array([_mean(read_units(self.records, at, "score")[name]) for at in self._each(layer)]))

    @cached_property
    def firing_rates(self) -> list[np.ndarray]:
        """The firing rate of each unit of each layer in the score half."""
        return [read_units(self.records, layer, "score")["firing_rate"] for layer in range(len(self.layers))]

    def rates_of(self, rows: np.ndarray) -> np.ndarray:
        """The firing rates of the units of rows (all rows of `units`,), a mask: one for each that it keeps."""
        begins = np.cumsum([0, *self.layers])[self.units["layer"][rows]]
        return np.concatenate(self.firing_rates)[begins + self.units["unit"][rows]]


def _mean(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def difference(first: Measured, second: Measured, explainer: str, metric: str, layer: int | None = None) -> Estimate:
    """How much higher the first model scores in a layer, or over all layers, documents drawn alike for both."""
    mean = first.mean(explainer, metric, layer) - second.mean(explainer, metric, layer)
    replicates = first.replicates(explainer, metric, layer) - second.replicates(explainer, metric, layer)
    return Estimate.of(mean, replicates)
