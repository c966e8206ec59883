"""How unusual an activation is for its unit, next to counting recorded activations one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cratelm.viewer.unusual import share_as_strong

BINS = 40


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_share_of_tokens_on_which_a_unit_fires_as_strongly_is_that_of_a_count_to_within_a_bin(seed, at) -> None:
    generator = np.random.default_rng(seed)
    activations = np.maximum(generator.normal(size=(500, 3)), 0)
    maximum = activations.max(0)
    counts = np.stack(
        [np.histogram(row[row > 0], BINS, (0, top))[0] for row, top in zip(activations.T, maximum, strict=True)]
    )
    statistics = {"histogram": counts, "maximum": maximum, "firing_rate": (activations > 0).mean(0)}
    value = at * maximum
    found = share_as_strong(value, statistics)
    width = maximum / BINS
    assert (found <= (activations > np.maximum(value - width, 0)).mean(0) + 1e-9).all()
    assert (found >= (activations > value + width).mean(0) - 1e-9).all()


def test_a_unit_whose_histogram_is_empty_is_as_unusual_as_its_firing() -> None:
    statistics = {"histogram": np.zeros((1, BINS), int), "maximum": np.ones(1), "firing_rate": np.array([0.2])}
    assert share_as_strong(np.array([0.5]), statistics).tolist() == [0.2]
