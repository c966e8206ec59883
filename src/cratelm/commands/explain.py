"""`cratelm explain`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.explain.config import ExplainConfig


def explain(
    records: Path,
    /,
    *,
    tokens: Path,
    out: Path,
    settings: Annotated[ExplainConfig, Parameter(name="*")] = ExplainConfig(),
) -> None:
    """Explain every unit of a recording, without a language model.

    The protocol is that of the records.

    Parameters
    ----------
    records
        A folder that `cratelm record` or a study made.
    tokens
        The folder of tokens that was recorded, for its tokenizer.
    out
        The folder to write.
    """
    from rich.console import Console

    from cratelm.artifacts import open_artifact
    from cratelm.explain.explain import explain as explain_records
    from cratelm.explain.explain import read_sentences
    from cratelm.progress import Progress
    from cratelm.records.store import read_layers

    with Progress() as progress:
        made = explain_records(
            settings, open_artifact(records, "records"), open_artifact(tokens, "tokens"), out, progress
        )
    units = sum(read_layers(open_artifact(records, "records")))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{units:,} units explained by {settings.explainers}. For example, unit 0/0:")
    for explainer in settings.with_sentences:
        console.print(f"  {explainer}: {read_sentences(made, 0, explainer)[0]}")
