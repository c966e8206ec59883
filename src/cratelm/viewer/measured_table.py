"""The front page's numbers of a model that was measured as it is: no comparison, and no model before training."""

from collections.abc import Sequence
from typing import Any

from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import ENDPOINT
from cratelm.report.means import mean_rows
from cratelm.score.registry import HEADLINE_METRICS
from cratelm.viewer.viewed_study import ViewedModel

NOTE = "One model, measured as it is: nothing here compares it with another, or with itself before training."


def measured_table(models: Sequence[ViewedModel]) -> dict[str, Any]:
    """A report's table, as far as one model gives it."""
    rows = [row for model in models for row in _rows(model)]
    return {"note": NOTE, "models": [], "rows": rows, "differences": []}


def _rows(model: ViewedModel) -> list[dict[str, Any]]:
    rows = mean_rows(model.scores, model.records)
    by_explainer = {(row["explainer"], row["metric"], row["layer"]): row for row in rows}
    return [
        {
            "model": model.name,
            "layer": row["layer"],
            "metric": row["metric"],
            "score": row["score"],
            "shuffled": {"mean": row["shuffled"]},
            **_beside(by_explainer, row),
            **{status: row[status] for status in ("dead", "silent", "constant")},
        }
        for row in rows
        if row["explainer"] == ENDPOINT.explainer and row["metric"] in HEADLINE_METRICS
    ]


def _beside(by_explainer: dict[tuple, dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """Other explainers' scores under their own names, and the ceiling's."""
    at = row["metric"], row["layer"]
    scores = {name: by_explainer[name, *at]["score"] for name in EXPLAINERS if (name, *at) in by_explainer}
    plain = {name: score for name, score in scores.items() if EXPLAINERS[name].role == "explainer"}
    ceilings = [score["mean"] for name, score in scores.items() if EXPLAINERS[name].role == "ceiling"]
    return {name: score for name, score in plain.items() if name != ENDPOINT.explainer} | {
        "ceiling": ceilings[0] if ceilings else None
    }
