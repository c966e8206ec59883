"""The figures of the reproduction show the spread over seeds, and name what they show where it is."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from cratelm.reproduce import context, pair, published
from cratelm.reproduce.results import Results, estimate, score
from cratelm.reproduce.store import Key
from tests.cells import made_up, whole

SCORES = {"crate": [0.6, 0.5, 0.7], "gpt2": [0.4, 0.45, 0.38]}


def cells() -> list:
    made = [whole(model, seed, 5.0 + seed / 10, value) for model, of in SCORES.items() for seed, value in enumerate(of)]
    for cell in made:
        cell["curve"] = [[1e6, 6.0], [2e6, cell["numbers"][Key("nats_per_token")]]]
    return made


def drawn(module, draw, monkeypatch) -> Figure:
    """The figure, before it becomes SVG."""
    monkeypatch.setattr(module, "svg", lambda figure: figure)
    return draw(Results(cells(), sizes=[2]))


def bars(axis) -> dict[float, tuple[float, float]]:
    """The ends of the upright error bars, by the middle of each."""
    ends = [line.get_segments()[0][:, 1] for one in axis.containers for line in one[2]]
    return {round(float(np.mean(pair)), 6): (min(pair), max(pair)) for pair in ends if pair[0] != pair[1]}


def of_scipy(values: list[float]) -> tuple[float, float]:
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return interval.low, interval.high


def test_a_mean_over_seeds_has_the_interval_of_a_t_test() -> None:
    found = estimate([cell for cell in cells() if cell["cell"]["model"] == "crate"], score("table", "random-only"))
    assert (found.low, found.high) == pytest.approx(of_scipy(SCORES["crate"]))
    assert np.isnan(estimate([made_up("crate", 0, {"1": (5.0, 0.5)})], score("table", "random-only")).low)


@pytest.mark.parametrize(("module", "draw"), [(context, context.draw_frontier), (pair, pair.draw_layers)])
def test_points_that_are_means_have_bars_of_that_interval(module, draw, monkeypatch) -> None:
    found = bars(drawn(module, draw, monkeypatch).axes[0])
    for values in SCORES.values():
        assert found[round(np.mean(values), 6)] == pytest.approx(of_scipy(values))


@pytest.mark.parametrize(
    ("module", "draw"),
    [(context, context.draw_frontier), (context, context.draw_context), (published, published.draw_losses)],
)
def test_designs_are_named_at_their_points_and_lines_and_not_in_a_legend(module, draw, monkeypatch) -> None:
    figure = drawn(module, draw, monkeypatch)
    for axis in figure.axes:
        assert {text.get_text() for text in axis.texts} - {""} == {"crate", "gpt2"}
        assert axis.get_legend() is None
    assert not figure.legends


def test_models_differ_in_more_than_their_colour(monkeypatch) -> None:
    figure = drawn(published, published.draw_losses, monkeypatch)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == len({line for _, line in looks}) == 2
