"""`cratelm sae`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.sae.config import SaeConfig


def sae(
    model: Path,
    /,
    settings: Annotated[SaeConfig, Parameter(name="*")] = SaeConfig(),
    *,
    text: Path,
    out: Path,
    json: bool = False,
) -> None:
    """Train sparse autoencoders on a model's sites, all on one stream, and measure what they cost the model.

    Parameters
    ----------
    model
        A trained model's folder.
    text
        The folder that `cratelm tokenize` made, with the model's own tokenizer: its train side trains, its validation
        side measures.
    out
        The autoencoders' folder. The same command with the same folder goes on where it stopped.
    json
        Print the quality as JSON on stdout.
    """
    import json as printer
    import sys

    from cratelm.artifacts import open_artifact, read_json
    from cratelm.progress import Progress
    from cratelm.sae.train import train_saes

    with Progress() as progress:
        made = train_saes(settings, open_artifact(model, "model"), open_artifact(text, "tokens"), out, progress)
    quality = read_json(made.path / "quality.json")
    if json:
        sys.stdout.write(printer.dumps(quality, indent=2) + "\n")
    else:
        _print(quality)


def _print(quality: dict[str, Any]) -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from cratelm.report.report import number

    title = (
        f"Validation, {quality['tokens']:,} tokens; loss of the model alone {quality['clean_loss']:.4f} nats a token"
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    names = ("site", "L0", "explained\nvariance", "dead\nshare", "loss,\nSAE", "loss,\nzero", "loss,\nmean")
    for name in (*names, "delta loss\n[95%]", "loss\nrecovered"):
        table.add_column(name, justify="left" if name == "site" else "right")
    keys = ("l0", "explained_variance", "dead_share", "sae_loss", "zero_loss", "mean_loss")
    for site, row in quality["sites"].items():
        figures = [number(row[key]) for key in keys]
        table.add_row(site, *figures, _interval(row["delta_loss"]), number(row["loss_recovered"]))
    together = quality["together"]
    blank = ["", "", ""]
    table.add_row("all together", *blank, number(together["sae_loss"]), "", "", _interval(together["delta_loss"]), "")
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False)
    console.print(table)


def _interval(delta: dict[str, float | None]) -> str:
    if delta["low"] is None or delta["high"] is None:
        return f"{delta['mean']:.4f}"
    return f"{delta['mean']:.4f} [{delta['low']:.4f}, {delta['high']:.4f}]"
