"""The comparison in the terminal: who scores higher in words, then the tables, as wide as the terminal allows."""

from typing import Any

from rich.console import Group

from cratelm.artifacts import Artifact, read_json
from cratelm.explain.registry import EXPLAINERS
from cratelm.output import print_json
from cratelm.protocols import ENDPOINT, STRICT
from cratelm.report.fitted_table import Column, fitted, open_console, print_text
from cratelm.report.headline import headline
from cratelm.report.number_text import estimate, number, p_value


def print_table(report: Artifact, as_json: bool) -> None:
    """Print a report's headline and tables on stdout, or its table.json."""
    table = read_json(report.path / "table.json")
    if as_json:
        print_json(table)
        return
    console = open_console()
    print_text(console, " ".join(headline(table)))
    print_text(console, table["note"])
    console.print(*_tables(table, console.width), sep="\n")
    print_text(console, _how_to_read(table))
    for line in table["judge"] if table["judged"] else []:
        print_text(console, line)


def _tables(table: dict[str, Any], width: int) -> list[Group]:
    metrics = list(dict.fromkeys(row["metric"] for row in table["rows"]))
    return [
        _models(table, width),
        *([_autoencoders(table, width)] if table["autoencoders"] else []),
        *(_scores(table, metric, width) for metric in metrics),
        _units(table, metrics, width),
        *([_differences(table, metrics, width)] if table["differences"] else []),
        *([_judged(table, width)] if table["judged"] else []),
    ]


def _beside(table: dict[str, Any]) -> list[str]:
    """The explainers that have a column of their own."""
    return [name for name in EXPLAINERS if name != ENDPOINT.explainer and isinstance(table["rows"][0].get(name), dict)]


def _endpoint(row: dict[str, Any]) -> str:
    """Which endpoint a difference is."""
    if row["primary"]:
        return "primary"
    return "second" if row.get("second") else "secondary"  # reports of before do not mark the second one


def _how_to_read(table: dict[str, Any]) -> str:
    beside = ", ".join(f"`{name}`" for name in _beside(table))
    others = f" (and {beside} next to it)" if beside else ""
    return (
        f"Correlations by the explainer `{ENDPOINT.explainer}` †{others}, {STRICT.name} protocol: Pearson's, "
        f"Spearman's for {', '.join(STRICT.ranked)}; `all` is the mean over layers."
    )


def _models(table: dict[str, Any], width: int) -> Group:
    rows = table["models"]
    columns = [
        Column("parameters", [f"{row['parameters']:,}" for row in rows]),
        Column("tokens seen", [f"{row['tokens']:,}" for row in rows]),
        Column("validation loss\n(nats per token)", [estimate(row["validation_loss"]) for row in rows]),
        Column("bits per\nbyte", [number(row["bits_per_byte"]) for row in rows]),
    ]
    return fitted("Models", [_model(rows)], columns, width)


def _autoencoders(table: dict[str, Any], width: int) -> Group:
    rows = table["autoencoders"]
    dead = ["–" if row["dead_share"] is None else _percent(row["dead_share"]) for row in rows]
    columns = [
        Column("L0", [number(row["l0"], 1) for row in rows]),
        Column("explained\nvariance", [number(row["explained_variance"]) for row in rows]),
        Column("dead, %", dead),
        Column("delta loss\n(nats per token)", [estimate(row["delta_loss"], 4) for row in rows]),
    ]
    return fitted("Sparse autoencoders", [_model(rows), _layer(rows)], columns, width)


def _scores(table: dict[str, Any], metric: str, width: int) -> Group:
    rows = [row for row in table["rows"] if row["metric"] == metric]
    columns = [
        Column("mean [95%]", [estimate(row["score"]) for row in rows]),
        *(Column(name, [number(row[name]["mean"]) for row in rows]) for name in _beside(table)),
        Column("shuffled", [number(row["shuffled"]["mean"]) for row in rows]),
        Column("random\nweights", [number(row["random_weights"]["mean"]) for row in rows]),
        Column("ceiling", [number(row["ceiling"]) for row in rows]),
    ]
    bold = [row["layer"] == "all" for row in rows]
    return fitted(f"Scores, {metric}, by {ENDPOINT.explainer} †", [_model(rows), _layer(rows)], columns, width, bold)


def _units(table: dict[str, Any], metrics: list[str], width: int) -> Group:
    """What does not depend on the metric, and the units that each metric could not score."""
    of_metric = {metric: [row for row in table["rows"] if row["metric"] == metric] for metric in metrics}
    rows = of_metric[metrics[0]]
    columns = [
        Column("token\nshare", [number(row["token_share"]) for row in rows]),
        Column("dead", [_percent(row["dead"]) for row in rows]),
        *(Column(metric, [_unscored(row) for row in of_metric[metric]]) for metric in metrics),
    ]
    bold = [row["layer"] == "all" for row in rows]
    title = "Units: dead ones, %, and by metric the silent/constant ones, %"
    return fitted(title, [_model(rows), _layer(rows)], columns, width, bold)


def _unscored(row: dict[str, Any]) -> str:
    return f"{_percent(row['silent'])}/{_percent(row['constant'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _differences(table: dict[str, Any], metrics: list[str], width: int) -> Group:
    rows = [row for row in table["differences"] if row["explainer"] == ENDPOINT.explainer and row["metric"] in metrics]
    columns = [
        Column("metric", [row["metric"] for row in rows], left=True),
        Column("difference [95%]", [estimate(row["difference"]) for row in rows]),
        Column("endpoint", [_endpoint(row) for row in rows], left=True),
        # The primary endpoint's p-value is its own; the others are corrected for their number.
        Column("p (Holm)", [p_value(row["p"] if row["primary"] else row["p_holm"]) for row in rows], left=True),
    ]
    pairs = Column("models", [f"{row['model']} - {row['rival']}" for row in rows], left=True)
    return fitted(f"Differences by {ENDPOINT.explainer} †, mean over layers", [pairs], columns, width)


def _judged(table: dict[str, Any], width: int) -> Group:
    rows = [row for row in table["judged"] if row["layer"] == "all"]
    columns = [
        Column("judge", ["passes" if row["passes"] else "fails" for row in rows]),
        Column("units", [str(row["units"]) for row in rows]),
        Column("mean [95%]", [estimate(row["score"]) for row in rows]),
        Column("shuffled", [estimate(row["shuffled"]) for row in rows]),
        Column("random\nweights", [estimate(row["random_weights"]) for row in rows]),
        Column("failed\nexcerpts", [str(row["failed_excerpts"]) for row in rows]),
    ]
    keys = [_model(rows), Column("metric", [row["metric"] for row in rows], left=True)]
    return fitted("By a language model, mean over layers", keys, columns, width)


def _model(rows: list[dict[str, Any]]) -> Column:
    return Column("model", [row["model"] for row in rows], left=True)


def _layer(rows: list[dict[str, Any]]) -> Column:
    return Column("layer", [str(row["layer"]) for row in rows])
