"""P-values, their correction, and differences over seeds, against other implementations and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr, ttest_rel

from cratelm.stats import (
    average_ranks,
    benjamini_hochberg,
    derangement,
    first_of_each,
    holm,
    in_one,
    pearson,
    places_in_group,
    seed_interval,
    spearman,
    spearman_of_rows,
    two_sided_p,
    variance_interval,
)


def test_holm_corrects_a_known_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values) -> None:
    corrected = np.array(holm(p_values))
    assert (corrected >= np.array(p_values) - 1e-12).all() and (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(p_values, kind="stable")]) >= 0).all()
    assert corrected.min() == pytest.approx(min(1, min(p_values) * len(p_values)))


def test_a_paired_interval_is_that_of_a_paired_t_test() -> None:
    one, other = [0.56, 0.58, 0.55], [0.49, 0.53, 0.50]
    test = ttest_rel(one, other)
    ends = test.confidence_interval()
    expected = np.mean(one) - np.mean(other), ends.low, ends.high, test.pvalue
    assert seed_interval(np.subtract(one, other).tolist()) == pytest.approx(expected)
    assert np.isnan(seed_interval([1.0])[1:]).all()


def test_text_that_all_seeds_share_widens_an_interval_over_seeds_until_it_covers() -> None:
    """Each study draws documents once and three seeds; the truth is a difference of 0."""
    generator, covered, without = np.random.default_rng(0), 0, 0
    for _ in range(2000):
        of_text = generator.normal(scale=0.02)
        differences = of_text + generator.normal(scale=0.02, size=3)
        _, low, high, p = seed_interval(differences.tolist(), text_variance=0.02**2)
        covered += low <= 0 <= high
        assert (p < 0.05) == (not low <= 0 <= high)
        _, low, high, _ = seed_interval(differences.tolist())
        without += low <= 0 <= high
    assert covered / 2000 >= 0.94 and without / 2000 < 0.9


def test_benjamini_hochberg_corrects_a_known_example_and_takes_no_p_values() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert benjamini_hochberg([]) == []


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.integers(0, 9))
def test_pearson_and_spearman_are_scipys_and_nothing_where_a_series_is_constant(x, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, 4, len(x))
    varies = np.ptp(x) > 0 and np.ptp(y) > 0
    assert pearson(x, y) == pytest.approx(pearsonr(x, y)[0] if varies else 0, abs=1e-9)
    assert spearman(x, y) == pytest.approx(spearmanr(x, y)[0] if varies else 0, abs=1e-9)
    assert pearson(np.full(len(x), 0.1), y) == 0
    assert math.isnan(pearson(np.full(len(x), np.nan), y))


def test_the_rho_of_each_row_is_scipys_with_ties_and_nothing_where_a_row_is_constant() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 5, (40, 12)).astype(float), generator.normal(size=(40, 12))
    y[::2] = np.round(y[::2])
    x[3], y[8] = 2.0, -1.5
    expected = [0 if row in (3, 8) else spearmanr(x[row], y[row])[0] for row in range(40)]
    assert spearman_of_rows(x, y) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=40))
def test_ranks_are_those_within_each_group(pairs) -> None:
    group, values = np.array(pairs).T
    found = average_ranks(group, values.astype(float))
    for k in np.unique(group):
        assert found[group == k].tolist() == rankdata(values[group == k]).tolist()


@given(st.lists(st.integers(0, 3), max_size=40))
def test_a_place_in_a_group_counts_the_rows_of_the_group_before(group) -> None:
    assert places_in_group(np.array(group, int)).tolist() == [group[:at].count(k) for at, k in enumerate(group)]


@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_a_derangement_gives_everyone_another_and_uses_all(size: int, seed: int) -> None:
    items = np.arange(100, 100 + size)
    found = derangement(items, np.random.default_rng(seed))
    assert (found != items).all() and sorted(found) == items.tolist()
    with pytest.raises(ValueError, match="two items"):
        derangement(items[:1], np.random.default_rng(seed))


def test_a_difference_of_nothing_is_called_one_as_often_as_it_says() -> None:
    generator, called = np.random.default_rng(0), 0
    for _ in range(400):
        sample = generator.normal(size=60)
        means = sample[generator.integers(0, 60, (400, 60))].mean(1)
        called += two_sided_p(sample.mean(), means) <= 0.05
    assert 0.025 < called / 400 < 0.085


def test_a_p_value_can_be_as_small_as_a_correction_for_fifty_comparisons_needs() -> None:
    replicates = np.random.default_rng(0).normal(1.0, 0.1, 1000)
    spread = replicates.std(ddof=1)
    assert two_sided_p(5 * spread, replicates) == pytest.approx(5.733e-7, rel=1e-3)  # of a table of the normal
    assert two_sided_p(0.0, np.zeros(100)) == 1


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-128, 127)), max_size=40))
def test_one_number_for_several_columns_orders_rows_as_the_columns_do(rows: list[tuple[int, int]]) -> None:
    first, second = np.array(rows, np.int8).reshape(-1, 2).T
    assert np.array_equal(np.argsort(in_one([first, second]), kind="stable"), np.lexsort((second, first)))


@given(st.lists(st.integers(-5, 5), max_size=60))
def test_the_first_of_each_value_is_where_it_comes_first(values: list[int]) -> None:
    assert first_of_each(np.array(values, np.int64)).tolist() == sorted({values.index(value) for value in values})


@pytest.mark.parametrize("things", [2, 6, 12])
@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0, 20.0])
def test_the_interval_of_a_variance_of_means_covers_the_true_one(things: int, spread: float) -> None:
    """Errors have a spread of 1. For a `spread` of 0, percentiles of replicates cover none of the 400."""
    generator, covered = np.random.default_rng(0), 0
    true = spread * (np.arange(things) - (things - 1) / 2) / np.arange(things).std()
    for _ in range(400):
        means = true + generator.normal(size=things)
        low, high = variance_interval(means, means + generator.normal(size=(200, things)))
        covered += low - 1e-9 <= true.var() <= high
    assert 0.92 <= covered / 400 <= 0.995


def test_the_interval_of_a_variance_of_means_without_errors_is_the_variance() -> None:
    means = np.array([0.5, 0.75, 0.25])
    assert variance_interval(means, np.tile(means, (200, 1))) == (means.var(), means.var())
    nearly = means + np.random.default_rng(0).normal(scale=1e-4, size=(200, 3))
    assert variance_interval(means, nearly) == pytest.approx([means.var()] * 2, rel=2e-3)
    assert variance_interval(means[:1], np.random.default_rng(0).normal(size=(200, 1))) == (0, 0)
    assert np.isnan(variance_interval(means, np.full((200, 3), np.nan))).all()
