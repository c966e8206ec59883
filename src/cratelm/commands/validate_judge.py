"""`cratelm validate SIMULATOR --llm …`."""

import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cratelm.errors import InputError
from cratelm.judges.puzzles import Puzzle
from cratelm.judges.simulators import SIMULATORS
from cratelm.judges.validation import Judged, judge_puzzles, passes, questions_of
from cratelm.llm.config import AskingConfig, JudgeConfig, open_judge
from cratelm.llm.planned_requests import Plan, Planned
from cratelm.output import print_json
from cratelm.progress import Progress


def plan_judge(simulator: str, puzzles: Sequence[Puzzle], judge: JudgeConfig, price: float, json: bool) -> None:
    """Say what it would take to let a judge simulate the puzzles."""
    _require(simulator)
    planned = Planned(judge.llm_max_tokens)
    with Progress() as progress, progress.task("planning") as bar:
        judge_puzzles(simulator, planned, puzzles, bar)
    print_plan(planned.plan(price), json)


def print_plan(plan: Plan, json: bool) -> None:
    """Print what would be sent on stdout."""
    if json:
        print_json(dataclasses.asdict(plan))
    else:
        sys.stdout.write(f"{plan}\n")


def _require(simulator: str) -> None:
    if simulator not in SIMULATORS:
        raise InputError(f"unknown simulator {simulator!r}: choose from {', '.join(SIMULATORS)}.")


def validate_judge(
    simulator: str, puzzles: Sequence[Puzzle], judge: JudgeConfig, asking: AskingConfig, json: bool
) -> None:
    """Let a judge simulate the puzzles."""
    _require(simulator)
    with Progress() as progress:
        model = open_judge(judge, asking)
        with progress.task(f"{simulator} by {model.name}", total=len(questions_of(puzzles))) as bar:
            judged, reasons = judge_puzzles(simulator, model, puzzles, bar)
    if json:
        result = {"simulator": simulator, "judge": model.name, "passes": passes(judged), "failures": reasons}
        rows = [dataclasses.asdict(row) for row in judged]
        print_json(result | {"puzzles": rows})
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
