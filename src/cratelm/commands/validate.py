"""`cratelm validate`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.ranges import Seed, number


def validate(
    explainer: str,
    /,
    *,
    puzzles: Path | None = None,
    seed: Seed = 0,
    json: bool = False,
    judge: Annotated[JudgeConfig, Parameter(name="*")] = JudgeConfig(),
    asking: Annotated[AskingConfig, Parameter(name="*")] = AskingConfig(),
    plan: bool = False,
    price: Annotated[float, number(least=0, most=1_000_000)] = 0,
) -> None:
    """Try an explainer or a judge on units whose explanation is known: planted ones in real text, and puzzles.

    Parameters
    ----------
    explainer
        `table`, `graph`, or one of the controls `random` and `constant`; with --llm a simulator: `all-at-once`,
        `token-by-token`, `log-probability-free` or `listing`.
    puzzles
        A file of puzzles instead of the package's own.
    seed
        Seed of the random excerpts of the planted units.
    json
        Print the result as JSON on stdout.
    plan
        Print requests, tokens and price, and send nothing.
    price
        The price of a million tokens, for the plan.
    """
    import dataclasses

    from cratelm.errors import InputError
    from cratelm.explain.registry import EXPLAINERS
    from cratelm.judges.puzzles import read_puzzles
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.validate.planted import find_planted
    from cratelm.validate.puzzles import solve_puzzles

    if judge.llm is not None or plan:
        from cratelm.commands.validate_judge import plan_judge, validate_judge

        if plan:
            plan_judge(explainer, read_puzzles(puzzles), judge, price, json)
        else:
            validate_judge(explainer, read_puzzles(puzzles), judge, asking, json)
        return
    able = [name for name, one in EXPLAINERS.items() if one.sees != "tables" and not one.in_words]
    if explainer not in able:
        raise InputError(f"cannot validate {explainer!r}: choose from {', '.join(able)}.")
    with Progress() as progress, progress.task(f"validating {explainer}"):
        solved = solve_puzzles(explainer, read_puzzles(puzzles))
        planted = find_planted(explainer, seed)
    if json:
        rows = {
            name: [dataclasses.asdict(row) for row in found]
            for name, found in (("planted", planted), ("puzzles", solved))
        }
        print_json({"explainer": explainer} | rows)
        return
    for title, found in (("Planted units, on held-out text", planted), ("Puzzles, leaving a sentence out", solved)):
        _print(f"{title}: {explainer}", found)


def _print(title: str, found: list[Any]) -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("unit", "recovered", "correlation", "control"):
        table.add_column(name, justify="left" if name == "unit" else "right")
    for row in found:
        table.add_row(row.name, "yes" if row.recovered else "no", f"{row.correlation:z.2f}", f"{row.control:z.2f}")
    count = sum(row.recovered for row in found)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    console.print(table)
    console.print(f"{count} of {len(found)} recovered (r of 0.7 or more).")
