"""The results say which version of torch made them, and which the package demands."""

import json
from pathlib import Path

from cratelm.reproduce.page import demanded, torch_versions

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_the_sentence_counts_cells_by_version_the_most_first() -> None:
    found = torch_versions(["2.13.0+cpu", "2.11.0+cu130", "2.11.0+cu130"])
    assert found.startswith("By version of torch: 2 of 3 cells on 2.11.0+cu130, 1 of 3 cells on 2.13.0+cpu. ")
    assert found.endswith(f"The package demands torch {demanded('torch')}.")
    assert torch_versions([]) == ""


def test_the_published_page_says_what_its_cells_ran_on() -> None:
    cells = [json.loads(path.read_text())["run"]["torch"] for path in sorted((RESULTS / "cells").glob("*.json"))]
    assert torch_versions(cells) in (RESULTS / "README.md").read_text()
