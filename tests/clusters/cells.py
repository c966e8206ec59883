"""Cells of the reproduction on a cluster, next to those of one process."""

from dataclasses import asdict
from pathlib import Path

from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.reproduce import matrix
from cratelm.reproduce.run import reproduce
from cratelm.shards.config import EngineConfig
from tests.reproduce.test_cells import SmallCell, kept


class BriefCell(SmallCell):
    """A cell that is measured only when its training is over, and has no autoencoders: it takes seconds."""

    in_full = False


def brief(cell: matrix.Cell, settings: StudyConfig) -> BriefCell:
    made = BriefCell(**asdict(cell))
    object.__setattr__(made, "settings", settings)
    return made


def require_same_cells(settings: StudyConfig, out: Path, quiet: Progress, engine: EngineConfig) -> None:
    """A pair of cells by an engine and by one process: the same numbers, the same bytes of their tables."""
    cells = [brief(cell, settings) for cell in matrix.quick()]
    reproduce(cells, out / "here", "*", quiet)
    reproduce(cells, out / "there", "*", quiet, engine)
    for cell in cells:
        assert kept(out / "there", cell.model) == kept(out / "here", cell.model)
