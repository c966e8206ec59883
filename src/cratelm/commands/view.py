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
    html: Path | None = None,
    zip: bool = False,
    layer: str | None = None,
    units: str | None = None,
    controls: bool = False,
    simulator: str = "all-at-once",
    judge: Annotated[JudgeConfig, Parameter(name="*")] = JudgeConfig(),
    asking: Annotated[AskingConfig, Parameter(name="*")] = AskingConfig(),
) -> None:
    """Open a study in a browser, or export it as web pages.

    Read its units, type a text that they fire on, and turn them up.

    Parameters
    ----------
    study
        The folder that `cratelm study` or `cratelm measure` made, or hub:OWNER/NAME[@REVISION], one that `cratelm push`
        sent. The hub is off unless HF_HUB_OFFLINE=0.
    port
        Where the page is served on this machine; 0 takes a free one.
    host
        The address to listen on. Any but this machine's own lets others read the study and run its models.
    export
        Write the pages as files into this folder, to open from the disk or put on a web host; serve nothing.
    html
        Write one HTML file with the units that --units or --layer name, at most 200, and serve nothing.
    zip
        With --export: write one zip file, such as --export pages.zip, instead of a folder.
    layer
        Export these layers alone, with commas between them: `1` of every model, or `crate/1`.
    units
        Export these units alone, with commas between them: `crate/1/37`.
    controls
        Export the models before training and the scores of control explainers as well.
    simulator
        How the judge reads a sentence in Try: `all-at-once`, `token-by-token`, `log-probability-free` or `listing`.

    Examples
    --------
    cratelm view runs/laptop
    """
    from functools import partial

    from cratelm.errors import InputError
    from cratelm.hub.fetch import local_folder
    from cratelm.progress import Progress
    from cratelm.score.config import ScoreConfig
    from cratelm.viewer.chosen_units import Choice
    from cratelm.viewer.serve import require_view, serve

    require_view()
    ScoreConfig(simulator=simulator)  # refuses what is no simulator, whether or not a judge is named
    served, choice = export is None and html is None, Choice(layer, units, controls)
    if not served and judge.llm is not None:
        raise InputError("an export is files alone, in which no language model reads: leave out --llm or --export.")
    if (served and (choice != Choice() or zip)) or (export is None and zip):
        raise InputError("--layer, --units and --controls belong to --export or --html, and --zip to --export.")
    if export is not None and html is not None:
        raise InputError("--export writes a folder and --html one file: leave one of them out.")
    study = local_folder(study)
    with Progress() as progress:
        if served:
            from cratelm.viewer.judging import Judge

            open_judge = partial(Judge, judge, asking, simulator, progress.say) if judge.llm is not None else None
            serve(study, host, port, progress, open_judge)
            return
        from cratelm.viewer.static_pages import export_page, export_study

        if html is not None:
            export_page(study, html, progress, choice)
            progress.say(f"Exported: open {html.resolve()} in a browser")
        elif export is not None:
            export_study(study, export, progress, choice, zipped=zip)
            place = export.resolve() if zip else (export / "index.html").resolve()
            progress.say(f"Exported: {place}" if zip else f"Exported: open {place} in a browser")
