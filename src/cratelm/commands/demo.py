"""`cratelm demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.ranges import whole


def demo(
    *,
    port: Annotated[int, whole(0, 65_535)] = 8642,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
    export: Path | None = None,
) -> None:
    """Open a finished study that comes with cratelm, in a browser.

    CRATE and GPT-2, trained on Python source: read their units, type a text that they fire on, and turn them up.

    Parameters
    ----------
    port
        Where the page is served on this machine; 0 takes a free one.
    browser
        Open the page in a browser, where this machine has one.
    export
        Write the same pages as files into this folder, for any web host or opened from the disk, and serve nothing.

    Examples
    --------
    cratelm demo
    """
    from cratelm.demo.unpack import unpack_demo
    from cratelm.demo.words import say_what_it_is
    from cratelm.progress import Progress
    from cratelm.viewer.serve import open_in_browser, require_view, serve

    require_view()
    with Progress() as progress:
        study = unpack_demo(progress)
        if export is not None:
            from cratelm.demo.pages import export_demo

            export_demo(study, export, progress)
            progress.say(f"Exported: open {(export / 'index.html').resolve()} in a browser")
            return
        say_what_it_is(study, progress)
        serve(study, "127.0.0.1", port, progress, ready=open_in_browser if browser else lambda address: None)
