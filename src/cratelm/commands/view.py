"""`cratelm view`."""

from pathlib import Path


def view(study: Path, /, *, port: int = 8642, host: str = "127.0.0.1", export: Path | None = None) -> None:
    """Look at a study's neurons in a browser: read them, type at them, turn them up.

    Parameters
    ----------
    study
        The folder that `cratelm study` made.
    port
        Where the page is served on this machine; 0 takes a free one.
    host
        The address to listen on. Any but this machine's own lets others read the study and run its models.
    export
        Write the same pages as files into this folder, for any web host or none, and serve nothing.
    """
    from cratelm.progress import Progress
    from cratelm.viewer.serve import require_view, serve

    require_view()
    with Progress() as progress:
        if export is None:
            serve(study, host, port, progress)
            return
        from cratelm.viewer.export import export_study

        export_study(study, export, progress)
        progress.say(f"Exported: open {(export / 'index.html').resolve()} in a browser")
