"""A study as a notebook has it."""

from pathlib import Path

import pytest

import cratelm


@pytest.fixture(scope="session")
def opened_study(study: Path) -> cratelm.OpenedStudy:
    """The small study."""
    return cratelm.OpenedStudy(study)
