"""`cratelm reproduce`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from cratelm.shards.config import EngineConfig


def reproduce(
    *,
    out: Path | None = None,
    scale: Literal["laptop", "paper"] = "laptop",
    quick: bool = False,
    only: str = "*",
    page: bool = False,
    plan: bool = False,
    json: bool = False,
    engine: Annotated[EngineConfig, Parameter(name="*")] = EngineConfig(),
) -> None:
    """Reproduce the paper's tables and figures, ours next to theirs.

    The paper is arXiv 2410.16443. The ablations that its reviewers asked for are included.

    Parameters
    ----------
    out
        The folder of results. Give the same command again to resume. A cell is one trained model with its
        measurements. Finished cells from another machine can be copied into OUT/cells.
    scale
        `laptop`: small models on this machine, listed in src/cratelm/reproduce/matrix.py. `paper`: the paper's own
        sizes and corpus, which take GPUs for days and need HF_HUB_OFFLINE=0: see --plan and docs/reproduction.md.
    quick
        Run only one CRATE and one GPT-2, with one seed and 3 million tokens, for a first look.
    only
        Run only the cells whose names match this glob, such as `reviews-*-L2-*-s0`.
    page
        Write the page of results from the cells in OUT, and run nothing.
    plan
        Print how many hours and how much money it would take, and run nothing.
    json
        With --plan: print the plan as JSON on stdout.

    Examples
    --------
    cratelm reproduce --quick --workers 2 --out reproduction
    """
    from cratelm.errors import InputError
    from cratelm.progress import Progress
    from cratelm.reproduce import matrix
    from cratelm.reproduce.plan import plan_laptop, plan_paper

    if quick and scale == "paper":
        raise InputError("--quick is one pair of the laptop's. Of the paper's sizes, --only chooses.")
    cells = matrix.paper() if scale == "paper" else matrix.quick() if quick else matrix.laptop()
    if plan:
        _print(plan_paper() if scale == "paper" else plan_laptop(cells), json)
        return
    if out is None:
        raise InputError("the folder of results is missing. Give --out DIR, or --plan to run nothing.")
    if scale == "paper" and not page:
        _require_gpu()
    from rich.console import Console

    from cratelm.reproduce.run import reproduce as run_cells
    from cratelm.reproduce.run import write_results

    with Progress() as progress:
        written = write_results(cells, out) if page else run_cells(cells, out, only, progress, engine)
    Console(highlight=False).print(f"Results: {written.resolve()}", soft_wrap=True)


def _require_gpu() -> None:
    import torch

    from cratelm.errors import InputError

    if not torch.cuda.is_available():
        raise InputError(
            "the paper's sizes would take years without a GPU, and none is here. --plan says what they take."
        )


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from cratelm.output import print_json

    if as_json:
        print_json(rows)
        return
    flat = [_flat(row) for row in rows]
    total = {key: sum(row[key] for row in flat) for key, value in flat[0].items() if isinstance(value, float)}
    table = Table(title="Hours, by the assumptions in docs/training.md", title_justify="left", box=SIMPLE_HEAD)
    for name in flat[0]:
        table.add_column(name, justify="right" if isinstance(flat[0][name], int | float) else "left")
    for row in [*flat, dict.fromkeys(flat[0], "") | total]:
        table.add_row(*(f"{value:,.1f}" if isinstance(value, float) else f"{value}" for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(table)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Hours and dollars by hardware as columns of their own."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat |= (
            {f"{name}, {key}": amount for name, amount in value.items()} if isinstance(value, dict) else {key: value}
        )
    return flat
