"""The front page's numbers of a model that was measured as it is: no comparison, and no model before training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import ENDPOINT
from cratelm.report.little_text import scored_text
from cratelm.report.means import mean_rows
from cratelm.score.registry import HEADLINE_METRICS
from cratelm.viewer.viewed_study import ViewedModel

NOTE = "One model, measured as it is: nothing here compares it with another, or with itself before training."


def measured_table(models: Sequence[ViewedModel]) -> dict[str, Any]:
    """A report's table, as far as one model gives it."""
    rows = [row for model in models for row in _rows(model)]
    return {
        "note": NOTE,
        "scored_text": scored_text(models[0].records),
        "models": [],
        "rows": rows,
        "differences": [],
    }


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
            **_statistics(model, row["layer"]),
            **{status: row[status] for status in ("dead", "silent", "constant")},
        }
        for row in rows
        if row["explainer"] == ENDPOINT.explainer and row["metric"] in HEADLINE_METRICS
        if row["layer"] == "all" or isinstance(row["layer"], int)  # the paper's protocol has one more mean
    ]


def _statistics(model: ViewedModel, layer: int | str) -> dict[str, float | None]:
    """The mean over a layer's units, or over all layers of that; None where a layer has no value."""
    layers = [layer] if isinstance(layer, int) else range(len(model.sites))
    of_layers = [model.statistics(index, model.protocol.scored_on) for index in layers]
    means = {
        name: np.array([_mean(statistics[name]) for statistics in of_layers]) for name in ("token_share", "firing_rate")
    }
    return {name: None if np.isnan(values).any() else float(values.mean()) for name, values in means.items()}


def _mean(values: np.ndarray) -> float:
    """The mean of those that are there; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _beside(by_explainer: dict[tuple, dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """Other explainers' scores under their own names, and the ceiling's."""
    at = row["metric"], row["layer"]
    scores = {name: by_explainer[name, *at]["score"] for name in EXPLAINERS if (name, *at) in by_explainer}
    plain = {name: score for name, score in scores.items() if EXPLAINERS[name].role == "explainer"}
    ceilings = [score["mean"] for name, score in scores.items() if EXPLAINERS[name].role == "ceiling"]
    return {name: score for name, score in plain.items() if name != ENDPOINT.explainer} | {
        "ceiling": ceilings[0] if ceilings else None
    }
