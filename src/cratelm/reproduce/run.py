"""The reproduction: every cell of a matrix run, and the page of results written from those that are there.

OUT/cells      each cell's result (store.py): small, and worth keeping; what it was made from is in OUT/work
OUT/README.md  the page, with its figures next to it
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

import torch
from rich.console import Console

from cratelm.artifacts import MANIFEST, read_object
from cratelm.errors import InputError
from cratelm.progress import Progress
from cratelm.reproduce.cell import run_cell, text_of
from cratelm.reproduce.matrix import Cell
from cratelm.reproduce.page import draw_figures, write_page
from cratelm.reproduce.results import Results
from cratelm.reproduce.store import Result, read_cell
from cratelm.sae.extra import require_sae_lens
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import require_engine, run_shards
from cratelm.stages import IDENTITY

ONE = EngineConfig()
"""One cell after another, in this process."""


def reproduce(cells: Sequence[Cell], out: Path, only: str, progress: Progress, engine: EngineConfig = ONE) -> Path:
    """Run the cells whose name matches `only` and that `out` lacks, in their order; gives the page.

    One after another the page is written anew after every cell; by several workers, when all are done. Raises
    InputError where no cell matches, and before anything is run where a cell needs SAELens and it is not installed.
    """
    chosen = [cell for cell in cells if fnmatchcase(cell.name, only)]
    if not chosen:
        raise InputError(f"no cell matches {only!r}. Their names are such as {cells[0].name}.")
    page = write_results(cells, out)
    left = [cell for cell in chosen if not (out / "cells" / f"{cell.name}.json").is_file()]
    if any(cell.has_autoencoders for cell in left):
        require_sae_lens()
    _require_threads(left, out / "work", threads_of(engine.workers))
    with progress.task("cells", total=len(chosen), done=len(chosen) - len(left)) as bar:
        if engine == ONE:
            for cell in left:
                run_cell(cell, out / "cells", out / "work", progress)
                page = write_results(cells, out)
                bar.advance(note=cell.name)
        elif left:
            _run_side_by_side(cells, left, out, progress, engine)
            page = write_results(cells, out)
    return page


def _require_own(out: Path) -> None:
    """Refuse a folder of somebody else's, whose README.md would be written over."""
    if out.exists() and not (out / "cells").is_dir() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and holds no results of cratelm reproduce. Choose another folder for --out.")


def _run_side_by_side(
    cells: Sequence[Cell], left: Sequence[Cell], out: Path, progress: Progress, engine: EngineConfig
) -> None:
    """A cell's shard has its place among all cells as its number, so that jobs of an earlier command are known."""
    threads = threads_of(engine.workers)
    require_engine(engine, threads)
    log = out / "work" / "log"
    shutil.rmtree(log / "completions", ignore_errors=True)  # what is done is known by its result
    # Cells share their text: made first, it is made once.
    for cell in {cell.text: cell for cell in left}.values():
        text_of(cell, out / "work", progress)
    run_shards(_Worker(cells, out), [cells.index(cell) for cell in left], engine, log, progress.say, threads)


def threads_of(workers: int) -> int:
    """How many threads a cell is run on: OMP_NUM_THREADS if it is set, else a worker's share of the processor."""
    if workers == 1 or "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) // workers)


def _require_threads(cells: Sequence[Cell], work: Path, now: int) -> None:
    """Refuse to go on with a cell on another number of threads: its bytes would be those of no one number.

    A finished model may have been laid there from elsewhere: its threads are kept with the cell's result instead.
    """
    for cell in cells:
        name = escape(cell.name)
        models = [f"models/{name}{part}.partial/{IDENTITY}" for part in ("", "-untrained", "+sae-*")]
        measured = [f"measured/{name}/**/{file}" for file in (IDENTITY, MANIFEST)]
        for before in (read_object(f).get("threads") for glob in (*models, *measured) for f in work.glob(glob)):
            if before not in (None, now):
                raise InputError(
                    f"the cell {cell.name} was begun on {before} threads, this command would go on with {now}, and the "
                    f"two do not give the same bytes. Set OMP_NUM_THREADS={before} to go on, with any --workers, or "
                    f"remove its folders from {work / 'models'} and {work / 'measured'} to begin it again."
                )


@dataclass(frozen=True)
class _Worker:
    """Runs a cell by its number; picklable."""

    cells: Sequence[Cell]
    out: Path

    def __call__(self, cell_index: int) -> None:
        cell = self.cells[cell_index]
        run_cell(cell, self.out / "cells", self.out / "work", Progress(Console(quiet=True)))
        sys.stderr.write(f"{cell.name} is done\n")


def write_results(cells: Sequence[Cell], out: Path) -> Path:
    """The page and its figures, from the results in `out`."""
    _require_own(out)
    folder = out / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    files = [(folder / f"{cell.name}.json", cell) for cell in cells]
    sizes = sorted({cell.layers for cell in cells if cell.group == "sizes"})
    there = [_read(path, cell) for path, cell in files if path.is_file()]
    results = Results(there, corpus=cells[0].corpus, tokenizer=cells[0].tokenizer, sizes=sizes, asked=cells)
    figures = draw_figures(results)
    for name, figure in figures.items():
        (out / f"{name}.svg").write_text(figure, encoding="utf-8")
    page = out / "README.md"
    page.write_text(write_page(results, figures), encoding="utf-8")
    return page


def _read(path: Path, cell: Cell) -> Result:
    result = read_cell(path.parent, cell.name)
    if result["cell"] != asdict(cell):
        raise InputError(f"{path} is of a cell with other settings, such as those of --quick. Give another --out.")
    return result
