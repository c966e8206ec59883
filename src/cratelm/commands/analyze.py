"""`cratelm analyze`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.analysis.config import AnalysisConfig
from cratelm.loading import DEFAULT_OPENING, OpeningConfig


def analyze(
    model: str,
    /,
    settings: Annotated[AnalysisConfig, Parameter(name="*")] = AnalysisConfig(),
    *,
    text: str,
    out: Path,
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Measure what CRATE's theory predicts, layer by layer.

    Coding rates, ISTA's objective, sparsity, dictionaries and subspaces.

    Parameters
    ----------
    model
        The folder of a CRATE model, a variant or a GPT-2 baseline, or the name of one on the hub. The
        same network before training is shown next to it.
    text
        A folder that `cratelm tokenize` made with the model's tokenizer, or any corpus that it takes.
    out
        The folder to write. Tokens that have to be made first are written next to it, to OUT-tokens.
    json
        Print all numbers as JSON on stdout.

    Examples
    --------
    cratelm analyze runs/laptop/models/crate --text runs/laptop/tokens --out theory
    """
    from cratelm.analysis.analyze import analyze as run_analysis
    from cratelm.artifacts import read_json
    from cratelm.models.subject import open_subject, tokens_for
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.stages import next_to

    with Progress() as progress:
        subject = open_subject(model, opening)
        tokens = tokens_for(subject, text, next_to(out, "-tokens"), progress, needed=("validation",))
        analysis = run_analysis(settings, subject, tokens, out, progress, opening.device)
    if json:
        print_json(read_json(analysis.path / "analysis.json"))
    else:
        _print(read_json(analysis.path / "analysis.json"), analysis.path)


COLUMNS = {
    "R before": "rate_before",
    "between": "rate_between",
    "after": "rate_after",
    "R^c before": "compression_before",
    "between ": "compression_between",
    "after ": "compression_after",
    "active, %": "active_share",
    "Hoyer": "hoyer",
    "reached": "objective_reached",
    "eta eig": "stability",
    "cos": "coherence",
    "overlap": "subspace_overlap",
}


def _print(analysis: dict[str, Any], folder: Path) -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{analysis['model']}, {analysis['rows'][0]['tokens']:,} tokens, epsilon {analysis['epsilon']}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("weights", "layer", *COLUMNS):
        table.add_column(name, justify="left" if name == "weights" else "right")
    for row in analysis["rows"]:
        values = [_shown(row[key], 100 if key == "active_share" else 1) for key in COLUMNS.values()]
        table.add_row(row["weights"], str(row["layer"]), *values)
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(table)
    console.print(f"Figures and every number: {folder.resolve()}", soft_wrap=True)


def _shown(value: float | None, times: float) -> str:
    return "–" if value is None else f"{value * times:.3g}"
