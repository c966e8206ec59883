"""`cratelm validate SIMULATOR --llm …`."""

import dataclasses
import json as printer
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cratelm.errors import InputError
from cratelm.judges.simulators import SIMULATORS, plan
from cratelm.judges.validation import Judged, judge_puzzles, passes, questions_of
from cratelm.llm.config import JudgeConfig, open_judge
from cratelm.progress import Progress
from cratelm.validate.puzzles import Puzzle


def validate_judge(
    simulator: str, puzzles: Sequence[Puzzle], judge: dict[str, Any], price: float | None, json: bool
) -> None:
    """Let a judge simulate the puzzles, or with a price say what that would take."""
    if simulator not in SIMULATORS:
        raise InputError(f"unknown simulator {simulator!r}: choose from {', '.join(SIMULATORS)}.")
    if price is not None:
        planned = plan(simulator, questions_of(puzzles), price)
        cost = f", price {planned.price:.2f}" if price else ""
        text = f"{planned.requests:,} requests, about {planned.tokens:,} tokens{cost}. Nothing was sent."
        sys.stdout.write(printer.dumps(dataclasses.asdict(planned)) + "\n" if json else text + "\n")
        return
    with Progress() as progress:
        model = open_judge(JudgeConfig(**judge))
        judged, reasons = judge_puzzles(simulator, model, puzzles, progress)
    if json:
        result = {"simulator": simulator, "judge": model.name, "passes": passes(judged), "failures": reasons}
        rows = [dataclasses.asdict(row) for row in judged]
        sys.stdout.write(printer.dumps(result | {"puzzles": rows}, indent=2) + "\n")
    else:
        _print(simulator, model.name, judged, reasons)


def _print(simulator: str, name: str, judged: Sequence[Judged], reasons: Counter[str]) -> None:
    mark = "" if passes(judged) else " (FAILS)"
    title = f"Puzzles: {simulator} by {name}{mark}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("unit", "rank of the truth", "correlation", "control", "failed answers"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for row in judged:
        numbers = ["-" if value is None else f"{value:z.2f}" for value in (row.correlation, row.control)]
        table.add_row(row.name, str(row.rank or "-"), *numbers, f"{row.failures} of {row.answers}")
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    console.print(table)
    first = sum(row.rank == 1 for row in judged)
    console.print(f"The truth is first in {first} of {len(judged)} puzzles (chance: a quarter).")
    for name, values in (
        ("correlation", [row.correlation for row in judged]),
        ("control", [row.control for row in judged]),
    ):
        known = [value for value in values if value is not None]
        if known:
            console.print(f"mean {name} {sum(known) / len(known):z.2f} over {len(known)} puzzles")
    for reason, count in reasons.most_common():
        console.print(f"{count} answers could not be used: {reason}")
    if not passes(judged):
        console.print("This judge FAILS: its scores say nothing.")
