"""Explanations, correlations and intervals, each against an independent computation."""

import warnings
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, spearmanr

from cratelm.explain.explainers.table import TokenTables
from cratelm.score.excerpt_sums import Series
from cratelm.score.positions import Positions
from cratelm.stats import draw_weights, interval


def brute_table(tokens: np.ndarray, activations: np.ndarray, text: np.ndarray) -> list[float]:
    """One unit's table and its predictions, with dictionaries."""
    own = defaultdict(list)
    for token, value in zip(tokens.ravel(), activations.ravel(), strict=True):
        own[token].append(value)
    other = activations.mean() if activations.size else 0.0
    return [float(np.mean(own[token])) if token in own else other for token in text]


@given(st.integers(0, 2**32 - 1))
def test_tables_of_many_units_equal_one_dictionary_each(seed: int) -> None:
    generator = np.random.default_rng(seed)
    unit = np.sort(generator.integers(0, 4, 9))
    tokens, activations = generator.integers(0, 12, (9, 5)), generator.random((9, 5)).astype(np.float32)
    text = generator.integers(0, 12, (4, 6))
    tables = TokenTables.explain(unit, tokens, activations, vocabulary=12)
    simulated = tables.simulate(np.arange(4), text, np.zeros(4))
    for k in range(4):
        expected = brute_table(tokens[unit == k], activations[unit == k], text[k])
        np.testing.assert_allclose(simulated[k], expected, rtol=1e-6)


def test_an_explanation_names_the_strongest_tokens_first() -> None:
    tokens, activations = np.array([[0, 1, 2, 1]]), np.array([[0.0, 2.0, 1.0, 4.0]])
    tables = TokenTables.explain(np.array([3]), tokens, activations, vocabulary=5)
    texts = ["a", " film", "\n", "d", "e"]
    assert tables.describe(3, texts) == "fires on ' film' 1.00, '\\n' 0.33; on unknown tokens 0.58"
    assert tables.describe(2, texts) == "never fires on the text it was shown"


def random_excerpts(seed: int, units: int = 6, excerpts: int = 5, length: int = 8):
    generator = np.random.default_rng(seed)
    truth = generator.exponential(size=(units * excerpts, length)) * (
        generator.random((units * excerpts, length)) < 0.3
    )
    simulated = truth * generator.random() + generator.random((units * excerpts, length))
    unit = np.repeat(np.arange(units), excerpts)
    slot = np.tile(np.arange(excerpts), units)
    document = generator.integers(0, 7, units * excerpts)
    return unit, slot, document, truth, simulated


def series(unit, slot, document, truth, simulated, shape) -> Series:
    """Excerpts (rows, length) at (unit, slot)."""
    length = truth.shape[1]
    documents = np.zeros(shape, np.int64)
    documents[unit, slot] = document
    positions = Positions(np.repeat(unit, length), np.repeat(slot, length), truth.ravel(), documents)
    return Series(positions, simulated.ravel())


@given(st.integers(0, 2**32 - 1))
def test_a_score_is_pearsons_correlation_over_the_concatenation(seed: int) -> None:
    unit, slot, document, truth, simulated = random_excerpts(seed)
    scores = series(unit, slot, document, truth, simulated, (6, 5)).pearson().scores()
    for k in range(6):
        x, y = truth[unit == k].ravel(), simulated[unit == k].ravel()
        assert scores[k] == pytest.approx(pearsonr(x, y)[0] if x.std() and y.std() else 0, abs=1e-9)


def test_a_weighted_score_is_the_score_of_excerpts_drawn_that_often() -> None:
    unit, slot, document, truth, simulated = random_excerpts(3)
    sums = series(unit, slot, document, truth, simulated, (6, 5)).pearson()
    drawn = draw_weights(7, 20, seed=1)
    scores = sums.scores(drawn[:, sums.document])
    for replicate in range(20):
        for k in range(6):
            times = drawn[replicate][document[unit == k]].astype(int)
            x, y = (np.repeat(series[unit == k], times, axis=0).ravel() for series in (truth, simulated))
            expected = np.nan if not len(x) else (pearsonr(x, y)[0] if x.std() > 0 and y.std() > 0 else 0)
            assert scores[replicate, k] == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_a_series_that_does_not_vary_scores_zero_not_noise(constant: float) -> None:
    unit, slot, document, truth, simulated = random_excerpts(4)
    flat = np.full_like(truth, constant)
    for x, y in ((truth, flat), (flat, simulated)):
        assert (series(unit, slot, document, x, y, (6, 5)).pearson().scores() == 0).all()


def test_missing_excerpts_weigh_nothing() -> None:
    unit, slot, document, truth, simulated = random_excerpts(5)
    kept = (unit != 2) | (slot < 2)
    parts = [array[kept] for array in (unit, slot, document, truth, simulated)]
    scores = series(*parts, (6, 5)).pearson().scores()
    first = slice(2 * 5, 2 * 5 + 2)
    assert scores[2] == pytest.approx(pearsonr(truth[first].ravel(), simulated[first].ravel())[0])


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.sampled_from([np.nan, -1, 0, 0.5, 7])
    )
)
def test_an_intervals_ends_are_quantiles_of_the_replicates_that_are_not_nan(replicates) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy: a row of nothing but NaN
        expected = np.nanquantile(replicates, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(interval(replicates), expected, atol=1e-12)
    np.testing.assert_allclose(interval(replicates.T, axis=1), expected, atol=1e-12)


def test_replicates_without_a_value_are_left_out_of_an_interval() -> None:
    low, high = interval(np.array([np.nan, *np.linspace(0, 1, 101)]))
    assert (low, high) == pytest.approx((0.025, 0.975))


def rounded(seed: int):
    """Excerpts with many ties, and their series."""
    unit, slot, document, truth, simulated = random_excerpts(seed)
    simulated = simulated.round(1)
    return unit, truth, simulated, series(unit, slot, document, truth, simulated, (6, 5))


@given(st.integers(0, 2**32 - 1))
def test_anthropics_score_is_spearmans_correlation_ties_included(seed: int) -> None:
    unit, truth, simulated, made = rounded(seed)
    scores = made.ranked().pearson().scores()
    for k in range(6):
        x, y = truth[unit == k].ravel(), simulated[unit == k].ravel()
        assert scores[k] == pytest.approx(spearmanr(x, y)[0] if np.ptp(x) and np.ptp(y) else 0, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_auroc_is_the_chance_that_a_firing_token_is_put_above_a_silent_one(seed: int) -> None:
    unit, truth, simulated, made = rounded(seed)
    scores = made.auroc().scores()
    for k in range(6):
        fires, said = truth[unit == k].ravel() > 0, simulated[unit == k].ravel()
        if fires.any() and not fires.all():
            pairs = said[fires][:, None] - said[~fires][None]
            expected = (pairs > 0).mean() + (pairs == 0).mean() / 2
        else:
            expected = 0.5
        assert scores[k] == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_r2_and_absolute_deviation_are_openais(seed: int) -> None:
    unit, truth, simulated, made = rounded(seed)
    for k in range(6):
        x, y = truth[unit == k].ravel(), simulated[unit == k].ravel()
        if x.any():
            assert made.rsquared()[k] == pytest.approx(1 - ((x - y) ** 2).mean() / (x**2).mean())
            expected = 1 - np.abs(x - y).mean() / np.abs(x).mean()
            assert made.absolute_deviation_explained()[k] == pytest.approx(expected)
