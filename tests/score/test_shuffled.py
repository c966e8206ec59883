"""The shuffled control says the same whatever the scale of a unit, and is not thinned by units that say nothing."""

import numpy as np
import pytest

from cratelm.explain.explainers.table import TokenTables
from cratelm.score.shuffled import Shuffled

VOCABULARY = 50


def named_share(scales: np.ndarray, patterns: np.ndarray, seed: int = 0) -> np.ndarray:
    """The share of each unit's activation that a shuffled explanation names: over a tenth of the unit's maximum.

    `patterns` (units, V) are what units do on each token, on a scale of 1.
    """
    units = np.arange(len(scales))
    means = patterns * scales[:, None]
    unit, token = (places.ravel() for places in np.indices(means.shape))
    tables = TokenTables.of(VOCABULARY, unit, token, means.ravel())
    shuffled = Shuffled.draw(units, means.max(1), seed)
    every = np.broadcast_to(np.arange(VOCABULARY), means.shape)
    said = shuffled.simulate(tables, units, every, np.zeros(len(units), int))
    named = said > 0.1 * means.max(1)[:, None]
    return (means * named).sum(1) / means.sum(1)


def sparse(units: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    fires = generator.random((units, VOCABULARY)) < 0.1
    fires[np.arange(units), generator.integers(VOCABULARY, size=units)] = True  # every unit on something
    return generator.exponential(size=fires.shape) * fires


def test_two_units_of_one_pattern_and_unlike_scales_name_all_of_each_other() -> None:
    pattern = np.eye(1, VOCABULARY, 3) + np.eye(1, VOCABULARY, 7) * 0.5
    assert named_share(np.array([1.0, 30.0]), np.repeat(pattern, 2, axis=0)).tolist() == [1, 1]


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_unlike_scales_change_no_control(spread: float) -> None:
    patterns = sparse(200, 0)
    scales = np.exp(spread * np.random.default_rng(1).normal(size=200))
    assert named_share(scales, patterns) == pytest.approx(named_share(np.ones(200), patterns))


def test_a_partner_is_another_unit_that_fires() -> None:
    units, maximum = np.array([2, 3, 5, 8, 9]), np.zeros(10)
    maximum[[2, 5, 9]] = [1.0, 2.0, 4.0]
    shuffled = Shuffled.draw(units, maximum, seed=0)
    assert {2, 5, 9} == set(shuffled.partner[[2, 5, 9]].tolist()) and set(shuffled.partner[units]) <= {2, 5, 9}
    assert (shuffled.partner[[2, 5, 9]] != [2, 5, 9]).all()
    assert shuffled.scale[2] == maximum[2] / maximum[shuffled.partner[2]]
