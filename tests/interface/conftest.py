"""A study and one of its models, as the interface gives them."""

from pathlib import Path

import pytest

import cratelm


@pytest.fixture(scope="session")
def opened(study: Path) -> cratelm.OpenedStudy:
    """The small study."""
    return cratelm.OpenedStudy(study)


@pytest.fixture(scope="session")
def model(study: Path) -> cratelm.LoadedModel:
    """Its CRATE."""
    return cratelm.load(study / "models" / "crate")
