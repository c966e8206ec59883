"""The comparison in the terminal."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cratelm.artifacts import Artifact, read_json
from cratelm.explain.registry import EXPLAINERS
from cratelm.output import print_json
from cratelm.protocols import ENDPOINT, STRICT
from cratelm.report.number_text import estimate, number, p_value


def print_table(report: Artifact, as_json: bool) -> None:
    """Print a report's tables on stdout, or its table.json."""
    path = report.path / "table.json"
    if as_json:
        print_json(read_json(path))
        return
    table = read_json(path)
    # A pipe has no width of its own: give the tables the room they need.
    room = 100 + sum(len(name) + 1 for name in _beside(table)[1:])
    console = Console(width=None if sys.stdout.isatty() else room, highlight=False)
    autoencoders = [_autoencoders(table)] if table["autoencoders"] else []
    metrics = list(dict.fromkeys(row["metric"] for row in table["rows"]))
    console.print(_models(table), *autoencoders, *(_scores(table, metric) for metric in metrics), sep="\n")
    console.print(_how_to_read(table))
    for row in table["differences"]:
        if row["explainer"] == ENDPOINT.explainer and row["metric"] in metrics:
            console.print(
                f"{row['model']} - {row['rival']}, {row['metric']}, all layers: {estimate(row['difference'])} "
                f"({_named(row)})"
            )
    if table["judged"]:
        console.print(_judged(table), *map(Text, table["judge"]), sep="\n")
    console.print(table["note"])


def _beside(table: dict[str, Any]) -> list[str]:
    """The explainers that have a column of their own."""
    return [name for name in EXPLAINERS if name != ENDPOINT.explainer and isinstance(table["rows"][0].get(name), dict)]


def _named(row: dict[str, Any]) -> str:
    """Which endpoint a difference is, with its p-value where that is corrected."""
    if row["primary"]:
        return "primary endpoint"
    kind = "second endpoint" if row.get("second") else "secondary"  # reports of before do not mark it
    return f"{kind}, {p_value(row['p_holm'])} by Holm"


def _how_to_read(table: dict[str, Any]) -> str:
    beside = ", ".join(f"`{name}`" for name in _beside(table))
    others = f" (and {beside} beside it)" if beside else ""
    return (
        f"Correlations by the explainer `{ENDPOINT.explainer}` †{others}, {STRICT.name} protocol: Pearson's, "
        f"Spearman's for {', '.join(STRICT.ranked)}; `all` is the mean over layers."
    )


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=name != "model", overflow="fold")
    return table


def _models(table: dict[str, Any]) -> Table:
    columns = ("model", "parameters", "tokens seen", "validation loss\n(nats a token)", "bits a\nbyte")
    shown = _table("Models", columns)
    for row in table["models"]:
        loss = estimate(row["validation_loss"])
        shown.add_row(row["model"], f"{row['parameters']:,}", f"{row['tokens']:,}", loss, number(row["bits_per_byte"]))
    return shown


def _autoencoders(table: dict[str, Any]) -> Table:
    columns = ("model", "layer", "L0", "explained\nvariance", "dead, %", "delta loss\n(nats a token)")
    shown = _table("Sparse autoencoders", columns)
    for row in table["autoencoders"]:
        dead = "–" if row["dead_share"] is None else f"{100 * row['dead_share']:.1f}"
        figures = (number(row["l0"], 1), number(row["explained_variance"]), dead)
        shown.add_row(row["model"], str(row["layer"]), *figures, estimate(row["delta_loss"], 4))
    return shown


def _scores(table: dict[str, Any], metric: str) -> Table:
    explainers = _beside(table)
    columns = ["model", "layer", "mean [95%]", *explainers, "shuffled", "random\nweights", "ceiling", "token\nshare"]
    shown = _table(f"Scores, {metric}, by {ENDPOINT.explainer} †", (*columns, "dead/silent/\nconstant, %"))
    for row in (row for row in table["rows"] if row["metric"] == metric):
        shown.add_row(
            row["model"],
            str(row["layer"]),
            estimate(row["score"]),
            *(number(row[name]["mean"]) for name in explainers),
            number(row["shuffled"]["mean"]),
            number(row["random_weights"]["mean"]),
            number(row["ceiling"]),
            number(row["token_share"]),
            "/".join(f"{100 * row[status]:.1f}" for status in ("dead", "silent", "constant")),
            style="bold" if row["layer"] == "all" else None,
        )
    return shown


def _judged(table: dict[str, Any]) -> Table:
    columns = ("model", "metric", "judge", "units", "mean [95%]", "shuffled", "random\nweights", "failed\nexcerpts")
    shown = _table("By a language model, mean over layers", columns)
    for row in (row for row in table["judged"] if row["layer"] == "all"):
        mark = "fails" if not row["passes"] else "passes"
        scores = estimate(row["score"]), estimate(row["shuffled"]), estimate(row["random_weights"])
        shown.add_row(row["model"], row["metric"], mark, str(row["units"]), *scores, str(row["failed_excerpts"]))
    return shown
