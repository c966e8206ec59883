"""The published cells, read by themselves."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cratelm.reproduce.cell import STATISTICS
from cratelm.reproduce.matrix import laptop
from cratelm.reproduce.run import write_results
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


def test_a_page_is_written_of_one_group_of_cells_alone(tmp_path: Path) -> None:
    asked = [cell for cell in laptop() if cell.group == "code"]
    shutil.copytree(CELLS, tmp_path / "cells")
    page = write_results(asked, tmp_path).read_text()
    assert f"of {len(asked)} cells of the matrix" in page
    assert "](losses.svg)" not in page
