"""The demo study as pages for a web host, with the notice that its text needs."""

import shutil
from pathlib import Path

from cratelm.demo.pack import NOTICE
from cratelm.progress import Progress
from cratelm.viewer.static_pages import export_study


def export_demo(study: Path, out: Path, progress: Progress) -> None:
    """Write the pages of the demo study in `study` into the folder `out`; raises InputError where that exists."""
    export_study(study, out, progress)
    shutil.copy(study / NOTICE, out)
