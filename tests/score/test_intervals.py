"""Intervals cover what they promise: simulated studies, each of documents and units drawn anew."""

import numpy as np
import pytest

from cratelm.report.measured import Estimate
from cratelm.score.excerpt_sums import ExcerptSums, Series
from cratelm.score.positions import Positions
from cratelm.score.replicates import layer_replicates
from cratelm.score.scored import FEWEST_EXCERPTS
from cratelm.stats import draw_weights, interval, ratio_interval

STUDIES = 1500


def layer(seed: int, units: int, documents: int, excerpts: int = 5, length: int = 16, rate: float = 1) -> ExcerptSums:
    """Correlations of units of unlike clarity on documents of unlike ease, a few excerpts of each unit.

    Units fire in so many of the documents, and are silent in the others.
    """
    generator = np.random.default_rng(seed)
    easy, clear = 1.5 * generator.random(documents), generator.random(units)
    document = generator.integers(0, documents, (units, excerpts))
    truth = generator.normal(size=(units, excerpts, length))
    noise = generator.normal(size=truth.shape) * (2.6 - easy[document] - clear[:, None])[..., None]
    if rate < 1:
        fires = generator.random((units, documents)) < rate
        truth = np.maximum(truth, 0) * np.take_along_axis(fires, document, 1)[..., None]
    unit, slot = (np.repeat(places.ravel(), length) for places in np.indices((units, excerpts)))
    return Series(Positions(unit, slot, truth.ravel(), document), (truth + noise).ravel()).pearson()


@pytest.mark.parametrize("rate", [1, 0.3])
def test_the_interval_of_a_layers_mean_covers_the_mean_over_all_text_and_units(rate: float) -> None:
    units, documents, replicates = 40, 60, 150
    expected = np.mean([layer(10**6 + k, 400, 600, rate=rate).scores().mean() for k in range(300)])
    covered = 0
    for study in range(STUDIES):
        sums = layer(study, units, documents, rate=rate)
        drawn = draw_weights(documents, replicates, study)
        means, _ = layer_replicates(sums, drawn, draw_weights(units, replicates, study + 10**5))
        estimate = Estimate.of(sums.scores().mean(), means)
        covered += estimate.low <= expected <= estimate.high
    assert covered / STUDIES == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("rate", [1, 0.3, 0.1])
def test_documents_drawn_again_spread_as_if_every_replicate_were_scored(rate: float) -> None:
    sums, drawn = layer(0, 400, 60, rate=rate), draw_weights(60, 2000, 1)
    _, quick = layer_replicates(sums, drawn, draw_weights(400, 2000, 2))
    scored = np.concatenate([sums.scores(drawn[k : k + 100][:, sums.document]) for k in range(0, 2000, 100)])
    slow = np.nanmean(scored, axis=1)
    assert quick.std() == pytest.approx(slow.std(), rel=0.1)


def test_documents_drawn_again_alone_leave_out_what_the_choice_of_units_adds() -> None:
    sums = layer(0, 40, 60)
    both, of_documents = layer_replicates(sums, draw_weights(60, 2000, 1), draw_weights(40, 2000, 2))
    of_units = sums.scores().var(ddof=1) / 40
    assert of_documents.var() < both.var() < of_documents.var() + of_units


def anthropics_mixture(highest: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Excerpts as the strict protocol scores them: top ones, two of each of 12 intervals, random ones. (excerpts,)"""
    of_interval = np.ceil(12 * highest / highest.max()).astype(int)
    drawn = [generator.choice(np.argsort(-highest)[:200], 6, replace=False)]
    drawn += [generator.permutation(np.flatnonzero(of_interval == k))[:2] for k in range(1, 13)]
    return np.concatenate([*drawn, generator.choice(len(highest), 30, replace=False)])


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.02])
def test_a_units_own_interval_covers_by_anthropics_metric(rate: float) -> None:
    """A unit that fires so often, and a simulation of it; every study draws its excerpts anew."""
    generator = np.random.default_rng(0)
    drive = generator.normal(size=(20_000, 9))
    threshold = np.quantile(drive, 1 - rate)
    truth = np.maximum(drive - threshold, 0)
    said = np.maximum(0.7 * drive + 0.7 * generator.normal(size=drive.shape) - 0.7 * threshold, 0)

    def study() -> ExcerptSums:
        rows = anthropics_mixture(truth.max(1), generator)
        slot = np.repeat(np.arange(len(rows)), 9)
        positions = Positions(np.zeros_like(slot), slot, truth[rows].ravel(), np.arange(len(rows))[None])
        return Series(positions, said[rows].ravel()).ranked().pearson()

    expected, covered = np.mean([study().scores()[0] for _ in range(400)]), 0
    for seed in range(400):
        made = study()
        assert made.sums.shape[1] >= FEWEST_EXCERPTS
        low, high = interval(made.scores(draw_weights(made.sums.shape[1], 300, seed)[:, None, :]))
        covered += low[0] <= expected <= high[0]
    assert 0.9 <= covered / 400 <= 0.98


def test_a_bootstrap_interval_covers_a_known_mean_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(0), 0
    for trial in range(300):
        sample = generator.exponential(size=80)
        low, high = ratio_interval(sample, np.ones(80), seed=trial, replicates=300)
        covered += low <= 1 <= high
    assert 0.88 < covered / 300 < 0.98  # 0.95, less the known small-sample loss, within four standard errors
