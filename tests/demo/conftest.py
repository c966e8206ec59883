"""The small study, packed once in a run."""

from pathlib import Path

import pytest

from cratelm.demo.pack import pack
from cratelm.demo.unpack import ARCHIVE
from tests.shared import Shared


@pytest.fixture(scope="session")
def archive(study: Path, shared: Shared) -> Path:
    """The archive of the small study, as demo/pack.py makes it."""
    return shared.folder("packed", lambda out: pack(study, out / ARCHIVE)) / ARCHIVE
