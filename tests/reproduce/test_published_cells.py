"""The published cells, read by themselves."""

from pathlib import Path

import numpy as np
import pytest

from cratelm.reproduce.cell import STATISTICS
from cratelm.reproduce.store import ALL, read_cell

CELLS = Path(__file__).parents[2] / "docs" / "results" / "cells"


@pytest.mark.parametrize("name", sorted(path.stem for path in CELLS.glob("*.json")))
def test_a_statistic_of_all_layers_is_the_mean_over_the_layers(name: str) -> None:
    numbers = read_cell(CELLS, name)["numbers"]
    over_all = {key: value for key, value in numbers.items() if key.name in STATISTICS and key.layer == ALL}
    assert over_all
    for asked, mean in over_all.items():
        layers = [value for key, value in numbers.items() if key[:-1] == asked[:-1] and key.layer != ALL]
        assert mean == pytest.approx(np.nanmean(layers), abs=1e-9)
