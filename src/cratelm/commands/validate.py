"""`cratelm validate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.ranges import Seed, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cratelm.validate.puzzles import Recovery


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
    """Test an explainer or a judge on units with known explanations.

    Some units are planted in real text. Others are puzzles: a few sentences with a unit's activations on them.

    Parameters
    ----------
    explainer
        `table`, `graph`, `rules`, or one of the controls `random` and `constant`; with --llm a simulator:
        `all-at-once`, `token-by-token`, `log-probability-free` or `listing`.
    puzzles
        A file of puzzles to use instead of the package's own three files.
    seed
        Seed of the random excerpts of the planted units.
    json
        Print the result as JSON on stdout.
    plan
        Print requests, tokens and price, and send nothing.
    price
        The price of a million tokens, for --plan, in any currency.

    Examples
    --------
    cratelm validate rules
    """
    from cratelm.judges.puzzles import read_puzzles

    if plan:
        from cratelm.commands.validate_judge import plan_judge

        plan_judge(explainer, read_puzzles(puzzles), judge, price, json)
    elif judge.llm is not None:
        from cratelm.commands.validate_judge import validate_judge

        validate_judge(explainer, read_puzzles(puzzles), judge, asking, json)
    else:
        _validate_explainer(explainer, puzzles, seed, json)


def _validate_explainer(explainer: str, puzzles: Path | None, seed: int, as_json: bool) -> None:
    """Try an explainer that simulates without a language model."""
    import dataclasses

    from cratelm.judges.puzzles import HARDER, HELD_OUT, PUZZLES, read_puzzles
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.validate.planted import PLANTED, find_planted
    from cratelm.validate.planted_context import CONTEXT_PLANTED
    from cratelm.validate.puzzles import solve_puzzles

    _require_simulating(explainer)
    sentences = {"puzzles": PUZZLES, "harder puzzles": HARDER, "held-out puzzles": HELD_OUT}
    tried = {name: read_puzzles(own=file) for name, file in sentences.items()}
    if puzzles is not None:
        tried = {"puzzles": read_puzzles(puzzles)}
    groups = {"planted": PLANTED, "planted in context": CONTEXT_PLANTED}
    with Progress() as progress, progress.task(f"validating {explainer}"):
        solved = {name: solve_puzzles(explainer, units) for name, units in tried.items()}
        planted = {name: find_planted(explainer, seed, rules) for name, rules in groups.items()}
    if as_json:
        rows = {name: [dataclasses.asdict(unit) for unit in found] for name, found in (planted | solved).items()}
        print_json({"explainer": explainer} | rows)
        return
    for name, found in planted.items():
        _print(f"{name.capitalize()}, on held-out text: {explainer}", found)
    for name, found in solved.items():
        _print(f"{name.capitalize()}, leaving a sentence out: {explainer}", found)


def _require_simulating(explainer: str) -> None:
    """Refuse an explainer that excerpts alone are not enough for, or whose explanations a language model reads."""
    from cratelm.errors import InputError
    from cratelm.explain.registry import EXPLAINERS
    from cratelm.judges.simulators import SIMULATORS

    # Planted units and puzzles have excerpts, and no table of a whole half.
    able = [name for name, known in EXPLAINERS.items() if known.sees != "tables" and not known.in_words]
    if explainer in SIMULATORS:
        raise InputError(f"the simulator {explainer} asks a language model: name one with --llm URL|PATH.")
    if explainer not in able:
        raise InputError(f"cannot validate {explainer!r}: choose from {', '.join(able)}.")


def _print(title: str, recoveries: "Sequence[Recovery]") -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("unit", "recovered", "correlation", "control"):
        table.add_column(name, justify="left" if name == "unit" else "right")
    for unit in recoveries:
        table.add_row(unit.name, "yes" if unit.recovered else "no", f"{unit.correlation:z.2f}", f"{unit.control:z.2f}")
    count = sum(unit.recovered for unit in recoveries)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    console.print(table)
    console.print(f"{count} of {len(recoveries)} recovered (r of 0.7 or more).")
