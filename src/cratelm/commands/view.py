"""`cratelm view`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.ranges import whole


def view(
    study: Path,
    /,
    *,
    port: Annotated[int, whole(0, 65_535)] = 8642,
    host: str = "127.0.0.1",
    export: Path | None = None,
    simulator: str = "all-at-once",
    judge: Annotated[JudgeConfig, Parameter(name="*")] = JudgeConfig(),
    asking: Annotated[AskingConfig, Parameter(name="*")] = AskingConfig(),
) -> None:
    """Open a study in a browser, or export it as web pages.

    Read its units, type a text that they fire on, and turn them up.

    Parameters
    ----------
    study
        The folder that `cratelm study` or `cratelm measure` made.
    port
        Where the page is served on this machine; 0 takes a free one.
    host
        The address to listen on. Any but this machine's own lets others read the study and run its models.
    export
        Write the same pages as files into this folder, for any web host or none, and serve nothing.
    simulator
        How the judge reads a sentence in Try: `all-at-once`, `token-by-token`, `log-probability-free` or `listing`.
    """
    from functools import partial

    from cratelm.errors import InputError
    from cratelm.progress import Progress
    from cratelm.score.config import ScoreConfig
    from cratelm.viewer.serve import require_view, serve

    require_view()
    ScoreConfig(simulator=simulator)  # refuses what is no simulator, whether or not a judge is named
    if export is not None and judge.llm is not None:
        raise InputError("an export is files alone, in which no language model reads: leave out --llm or --export.")
    with Progress() as progress:
        if export is None:
            from cratelm.viewer.judging import Judge

            open_judge = partial(Judge, judge, asking, simulator, progress.say) if judge.llm is not None else None
            serve(study, host, port, progress, open_judge)
            return
        from cratelm.viewer.static_pages import export_study

        export_study(study, export, progress)
        progress.say(f"Exported: open {(export / 'index.html').resolve()} in a browser")
