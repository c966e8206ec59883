"""What is read off a finished study, where layers differ."""

from typing import Any

import numpy as np
import pytest

from cratelm.report import means, measured
from cratelm.report.means import mean_rows
from cratelm.report.measured import Measured

NOTHING = float("nan")


@pytest.fixture
def uneven(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Four units in the first layer, of which one can be scored, and two in the second."""
    statistics = [{"token_share": np.array([0.2, NOTHING, NOTHING, NOTHING])}, {"token_share": np.array([0.6, 0.8])}]
    monkeypatch.setattr(measured, "read_units", lambda records, layer, half: statistics[layer])
    monkeypatch.setattr(measured, "read_layers", lambda records: [4, 2])
    unopened: Any = None
    found = Measured(unopened, unopened, unopened, unopened)
    vars(found)["units"] = {
        "explainer": np.full(6, "table"),
        "metric": np.full(6, "random-only"),
        "layer": np.array([0, 0, 0, 0, 1, 1]),
        "score": np.array([0.4, 0, 0, 0, 0.6, 1.0]),
        "status": np.array(["scored", "dead", "dead", "dead", "scored", "scored"]),
    }
    return found


def test_numbers_of_all_layers_count_each_layer_once_whatever_its_units(uneven: Measured) -> None:
    where = "table", "random-only"
    assert uneven.mean(*where, None) == pytest.approx((0.1 + 0.8) / 2)
    assert uneven.mean_of_scored(*where, None) == pytest.approx((0.4 + 0.8) / 2)
    assert uneven.share(*where, None, "dead") == pytest.approx((0.75 + 0) / 2)
    assert uneven.statistic("token_share", None) == pytest.approx((0.2 + 0.7) / 2)


def test_layers_without_a_number_are_left_out_of_the_mean_over_layers(uneven: Measured) -> None:
    uneven.units["status"][0] = "silent"
    assert uneven.mean_of_scored("table", "random-only", None) == pytest.approx(0.8)
    assert np.isnan(uneven.mean_of_scored("table", "random-only", 0))


def test_a_recording_alone_gives_the_same_means_over_layers_as_a_study(uneven: Measured, monkeypatch) -> None:
    scores = vars(uneven)["units"] | {"shuffled": np.zeros(6), "failed": np.zeros(6)}
    monkeypatch.setattr(means, "read_scores", lambda scored: scores)
    monkeypatch.setattr(means, "read_replicates", lambda scored: {})
    monkeypatch.setattr(means, "read_layers", lambda records: [4, 2])
    monkeypatch.setattr(means, "read_protocol", lambda records: "strict")
    unopened: Any = None
    (row,) = (row for row in mean_rows(unopened, unopened) if row["layer"] == "all")
    where = "table", "random-only", None
    assert row["score"]["mean"] == pytest.approx(uneven.mean(*where))
    assert row["dead"] == pytest.approx(uneven.share(*where, "dead"))
