"""The reproduction: every cell of a matrix run, and the page of results written from those that are there.

OUT/cells/NAME.json  a cell's result: small, and worth keeping; what it was made from is in OUT/work
OUT/README.md        the page, with its figures beside it
"""

from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from cratelm.artifacts import read_json
from cratelm.errors import InputError
from cratelm.progress import Progress
from cratelm.reproduce.cell import SCHEMA, run_cell
from cratelm.reproduce.figures import draw_all
from cratelm.reproduce.gather import Results
from cratelm.reproduce.matrix import Cell
from cratelm.reproduce.page import write_page


def reproduce(cells: Sequence[Cell], out: Path, only: str, progress: Progress) -> Path:
    """Run the cells whose name matches `only` and that `out` lacks, in their order; gives the page.

    The page is written anew behind every cell. Raises InputError where no cell matches.
    """
    chosen = [cell for cell in cells if fnmatchcase(cell.name, only)]
    if not chosen:
        raise InputError(f"no cell matches {only!r}. Their names are such as {cells[0].name}.")
    page = write_results(cells, out)
    with progress.task("cells", total=len(chosen)) as bar:
        for cell in chosen:
            run_cell(cell, out / "cells", out / "work", progress)
            page = write_results(cells, out)
            bar.advance(note=cell.name)
    return page


def write_results(cells: Sequence[Cell], out: Path) -> Path:
    """The page and its figures, from the results in `out`."""
    folder = out / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    found = [(folder / f"{cell.name}.json", cell) for cell in cells]
    results = Results([_read(path, cell) for path, cell in found if path.is_file()])
    for name, figure in draw_all(results).items():
        (out / f"{name}.svg").write_text(figure, encoding="utf-8")
    page = out / "README.md"
    page.write_text(write_page(results, cells), encoding="utf-8")
    return page


def _read(path: Path, cell: Cell) -> dict:
    result = read_json(path)
    if result.get("schema") != SCHEMA:
        raise InputError(
            f"{path} is of schema {result.get('schema')!r}, needed is {SCHEMA}: remove it to make it again."
        )
    if result["cell"] != asdict(cell):
        raise InputError(f"{path} is of a cell with other settings, such as those of --quick. Give another --out.")
    return result
