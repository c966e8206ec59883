"""`cratelm explain`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.explain.config import ExplainConfig


def explain(
    records: Path,
    /,
    *,
    out: Path,
    protocol: str | None = None,
    settings: Annotated[ExplainConfig, Parameter(name="*")] = ExplainConfig(),
) -> None:
    """Explain every unit of a recording, without a language model.

    Parameters
    ----------
    records
        A folder that `cratelm record` or a study made.
    out
        The folder to write.
    protocol
        `strict` or `paper`: refuse records of the other protocol. By default, whichever they were made by.
    """
    from rich.console import Console

    from cratelm.artifacts import open_artifact
    from cratelm.explain.explain import explain as explain_records
    from cratelm.explain.explain import read_sentences
    from cratelm.progress import Progress
    from cratelm.records.store import read_layers, require_protocol

    with Progress() as progress:
        opened = open_artifact(records, "records")
        require_protocol(opened, protocol)
        made = explain_records(settings, opened, out, progress)
    units = sum(read_layers(opened))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{units:,} units explained by {settings.explainer}. For example, unit 0/0:")
    for explainer in settings.with_sentences:
        console.print(f"  {explainer}: {read_sentences(made, 0, explainer)[0]}")
