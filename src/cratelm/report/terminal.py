"""The comparison in the terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from cratelm.artifacts import Artifact, read_json
from cratelm.report.report import estimate, number


def print_table(report: Artifact, as_json: bool) -> None:
    """Print a report's tables on stdout, or its table.json as it is."""
    path = report.path / "table.json"
    if as_json:
        sys.stdout.write(path.read_text(encoding="utf-8"))
        return
    table = read_json(path)
    # A pipe has no width of its own: give the tables the room they need.
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(_models(table), _scores(table), sep="\n")
    for row in table["differences"]:
        endpoint = "primary endpoint" if row["primary"] else "secondary"
        shown = estimate(row["difference"])
        console.print(
            f"{row['model']} - {row['rival']}, {row['metric']}, all layers: {shown} ({endpoint})", highlight=False
        )
    console.print(table["note"], highlight=False)


def _models(table: dict[str, Any]) -> Table:
    shown = Table("model", "parameters", "tokens seen", "validation loss (nats a token)", "bits a byte", title="Models")
    for row in table["models"]:
        loss = estimate(row["validation_loss"])
        shown.add_row(row["model"], f"{row['parameters']:,}", f"{row['tokens']:,}", loss, number(row["bits_per_byte"]))
    return shown


def _scores(table: dict[str, Any]) -> Table:
    shown = Table(title="Scores (Pearson's r, strict protocol, explainer: table)")
    for column in ("model", "metric", "layer", "mean [95%]", "above shuffled [95%]", "shuffled", "random weights"):
        shown.add_column(column)
    for column in ("ceiling", "token share", "dead", "silent", "constant"):
        shown.add_column(column, justify="right")
    for row in table["rows"]:
        shown.add_row(
            row["model"],
            row["metric"],
            str(row["layer"]),
            estimate(row["score"]),
            estimate(row["above_shuffled"]),
            number(row["shuffled"]["mean"]),
            number(row["random_weights"]["mean"]),
            number(row["ceiling"]["mean"]),
            number(row["token_share"]),
            *(f"{row[status]:.1%}" for status in ("dead", "silent", "constant")),
            end_section=row["layer"] == "all",
        )
    return shown
