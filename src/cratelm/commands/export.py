"""`cratelm export`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.export.config import ExportConfig


def export(records: Path, /, settings: Annotated[ExportConfig, Parameter(name="*")], *, out: Path) -> None:
    """Write a recording in the format of OpenAI or Neuronpedia.

    OpenAI's NeuronRecord, or Neuronpedia's dashboards.

    Parameters
    ----------
    records
        A folder that `cratelm record` or a study made.
    out
        The folder to write.

    Examples
    --------
    cratelm export records --format neuronpedia --out dashboards
    """
    from cratelm.artifacts import open_artifact
    from cratelm.export.export import export as export_records
    from cratelm.progress import Progress

    with Progress() as progress:
        export_records(settings, open_artifact(records, "records"), out, progress)
