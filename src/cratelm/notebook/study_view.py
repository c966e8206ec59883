"""A study: its headline in words, the curves, and the table of mean scores."""

from collections.abc import Iterator, Sequence
from typing import Any

from cratelm.notebook.charts import COLOURS, Curve, curves
from cratelm.notebook.markup import box, number, percent, table, term, text

HEADS = (
    "metric",
    "model",
    "layer",
    "score [95%]",
    "shuffled",
    "random weights",
    "ceiling",
    "token share",
    "fires",
    "dead",
)


def study_view(document: dict[str, Any]) -> str:
    """HTML of what `study_document` gives."""
    report = document["report"]
    names = [row["model"] for row in report["models"]] or [model["name"] for model in document["models"]]
    lead = f'<p class="lead">{text(" ".join(document["headline"]))}</p>' if document["headline"] else ""
    figures = f'<div class="row">{"".join(_curves(document, names))}</div>'
    caption = f"Mean scores by the explainer {text(document['primary']['explainer'])}"
    rows = [_row(row) for row in report["rows"]]
    heads = [term(head, head.removesuffix(" [95%]")) for head in HEADS]
    mean_scores = table(caption, heads, rows, frozenset(range(3, len(HEADS))))
    note = f'<p class="faint">{text(report["note"])}</p>'
    title = f"<h1>{text(document['name'])}</h1>"
    return box(f"Study {document['name']}", title, lead, figures, _legend(names, report), mean_scores, note)


def _curves(document: dict[str, Any], names: Sequence[str]) -> Iterator[str]:
    rows = [row for row in document["report"]["rows"] if row["layer"] != "all"]
    layers = max(len(model["layers"]) for model in document["models"])
    for metric in dict.fromkeys(row["metric"] for row in rows):
        mine = [row for row in rows if row["metric"] == metric]
        yield curves(metric, layers, [curve for at, name in enumerate(names) for curve in _both(mine, name, at)])


def _both(rows: Sequence[dict[str, Any]], name: str, colour: int) -> Iterator[Curve]:
    """A model's curve, and that of the same network before training where there is one."""
    mine = [row for row in rows if row["model"] == name]
    yield Curve(name, colour, False, [row["score"] for row in mine])
    if mine and all(row.get("random_weights") for row in mine):
        yield Curve(f"{name} before training", colour, True, [row["random_weights"] for row in mine])


def _legend(names: Sequence[str], report: dict[str, Any]) -> str:
    swatches = "".join(
        f'<span><i class="swatch c{at % COLOURS}"></i>{text(name)}</span>' for at, name in enumerate(names)
    )
    dashed = "dashed: the same networks before training; " if report["models"] else ""
    return f'<p class="legend">{swatches}<span class="faint">{dashed}bars: 95% intervals</span></p>'


def _row(row: dict[str, Any]) -> list[str]:
    score = row["score"]
    layer = "all" if row["layer"] == "all" else f"layer {row['layer']}"
    return [
        term(row["metric"]),
        text(row["model"]),
        layer,
        f"{number(score['mean'])} <small>[{number(score['low'])}, {number(score['high'])}]</small>",
        number((row["shuffled"] or {}).get("mean")),
        number((row.get("random_weights") or {}).get("mean")),
        number(row["ceiling"]),
        number(row["token_share"]),
        percent(row["firing_rate"]),
        percent(row["dead"]),
    ]
