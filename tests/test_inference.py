"""P-values, their correction, and differences over seeds, against other implementations and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from cratelm.inference import holm, paired_interval, two_sided_p


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
    expected = ttest_rel(one, other).confidence_interval()
    assert paired_interval(one, other) == pytest.approx((np.mean(one) - np.mean(other), expected.low, expected.high))
    assert np.isnan(paired_interval([1], [0])[1:]).all()


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
