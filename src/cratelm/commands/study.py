"""`cratelm study`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.help_groups import GROUPS
from cratelm.llm.config import AskingConfig
from cratelm.presets import StudyConfig
from cratelm.ranges import number


def study(
    *,
    out: Path,
    preset: str = "laptop",
    config: Path | None = None,
    json: bool = False,
    plan: bool = False,
    price: Annotated[float, number(least=0, most=1_000_000)] = 0,
    settings: Annotated[StudyConfig, Parameter(name="*")] = StudyConfig(),
    asking: Annotated[AskingConfig, Parameter(name="*", group=GROUPS["Language model"])] = AskingConfig(),
) -> None:
    """Train CRATE and GPT-2 on the same text, and compare their units.

    Parameters
    ----------
    out
        The study's folder. Give the same command again to resume it.
    preset
        The settings that other options change: `smoke` (a minute and a half, to see that everything works), `laptop` (a
        quarter of an hour on 2 idle cores) or `demo` (the study that `cratelm demo` opens, on Python source).
    config
        A TOML file of settings. Options on the command line override it.
    json
        Print the table as JSON on stdout.
    plan
        Print the most that --llm's language model would be asked, and what that costs; run nothing.
    price
        The price of a million tokens, for --plan, in any currency.

    Examples
    --------
    cratelm study --preset smoke --out runs/smoke
    """
    import shlex

    from rich.console import Console

    from cratelm.llm.config import open_judge
    from cratelm.progress import Progress
    from cratelm.report.terminal import print_table
    from cratelm.study import run_study

    with Progress() as progress:
        if plan:
            from cratelm.commands.validate_judge import print_plan
            from cratelm.study_plan import plan_study

            print_plan(plan_study(settings, price, progress), json)
            return
        model = open_judge(settings.judge, asking) if settings.judge.llm is not None else None
        report = run_study(settings, out, progress, model)
    print_table(report, json)
    if not json:
        page = report.path.resolve() / "report.html"
        Console().print(f"Report: {page} (open it in a browser)", soft_wrap=True, highlight=False)
        look = shlex.join(["cratelm", "view", str(out)])
        Console().print(
            f"Look at the neurons and steer with them: {look}", markup=False, soft_wrap=True, highlight=False
        )
