"""The comparison as rows: one for each model, metric and layer, and one for the mean over a model's layers."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cratelm.report.measured import Estimate, Measured
from cratelm.score.config import CORRELATIONS, DETECTIONS, PRIMARY_METRIC
from cratelm.score.whole_text import EXPLAINERS as OF_TOKENS
from cratelm.score.whole_text import METRIC as WHOLE_TEXT

EXPLAINER, CEILING = "table", "table-full"
DETAILS = (
    *(
        (explainer, metric, "score")
        for explainer in ("table", "graph")
        for metric in ("auroc", "consistency", "specificity", *DETECTIONS)
    ),
    *((explainer, "anthropic", "pearson") for explainer in ("table", "graph")),
    *((explainer, "random-only", "rsquared") for explainer in ("table", "graph")),
    *((explainer, "random-only", "absolute_deviation_explained") for explainer in ("table", "graph")),
    *((explainer, WHOLE_TEXT, "score") for explainer in OF_TOKENS),
    *(("random", metric, "score") for metric in CORRELATIONS),
)
"""Explainer, metric and column of the numbers beside the main table."""
Pair = tuple[Measured, Measured]
"""A trained model, and the same network before training."""


def table_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of the table; what cannot be said is None."""
    return [
        plain(_row(trained, untrained, metric, layer))
        for trained, untrained in pairs
        for metric in CORRELATIONS
        for layer in [*range(len(trained.layers)), None]
    ]


def _row(trained: Measured, untrained: Measured, metric: str, layer: int | None) -> dict[str, Any]:
    where = (EXPLAINER, metric, layer)
    return {
        "model": trained.name,
        "layer": "all" if layer is None else layer,
        "metric": metric,
        "protocol": "strict",
        "explainer": EXPLAINER,
        "units": sum(trained.layers) if layer is None else trained.layers[layer],
        "score": asdict(trained.score(*where)),
        "score_of_scored": trained.mean_of_scored(*where),
        "graph": asdict(trained.score("graph", metric, layer)),
        "shuffled": asdict(trained.shuffled(*where)),
        "above_shuffled": asdict(trained.above_shuffled(*where)),
        "random_weights": asdict(untrained.score(*where)),
        "ceiling": trained.mean(CEILING, metric, layer) if trained.has(CEILING, metric) else None,
        "whole_text": trained.mean(EXPLAINER, WHOLE_TEXT, layer) if metric == PRIMARY_METRIC else None,
        "token_share": trained.statistic("token_share", layer),
        "token_share_random_weights": untrained.statistic("token_share", layer),
        "position_share": trained.statistic("position_share", layer),
        "firing_rate": trained.statistic("firing_rate", layer),
        **{status: trained.share(*where, status) for status in ("dead", "silent", "constant")},
    }


def detail_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """What else is known of each explainer and layer: a row for each number, with the random weights' beside it."""
    found = []
    for trained, untrained in pairs:
        for explainer, metric, column in DETAILS:
            for layer in [*range(len(trained.layers)), None]:
                has = column == "score" and metric != WHOLE_TEXT and trained.has(explainer, metric)
                row = {
                    "model": trained.name,
                    "layer": "all" if layer is None else layer,
                    "explainer": explainer,
                    "metric": metric,
                    "column": column,
                    "value": trained.mean(explainer, metric, layer, column),
                    "score": asdict(trained.score(explainer, metric, layer)) if has else None,
                    "one_sided": trained.share(explainer, metric, layer, "one-sided") if metric in DETECTIONS else None,
                    "shuffled": trained.mean(explainer, metric, layer, "shuffled") if column == "score" else None,
                    "random_weights": untrained.mean(explainer, metric, layer, column),
                }
                found.append(plain(row))
    return found


def model_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """What each model is and costs: parameters, tokens seen, validation loss."""
    return [
        plain(
            {
                "model": trained.name,
                "parameters": trained.training["parameters"],
                "tokens": trained.training["tokens"],
                "validation_loss": asdict(
                    Estimate(trained.training["nats_per_token"], *trained.training["nats_per_token_interval"])
                ),
                "bits_per_byte": trained.training["bits_per_byte"],
                "validation_loss_random_weights": untrained.training["nats_per_token"],
                "layers": len(trained.layers),
                "units": sum(trained.layers),
                "seed": trained.model.config["seed"],
            }
        )
        for trained, untrained in pairs
        if trained.saes is None
    ]


def plain(value: Any) -> Any:
    """NaN as None, which JSON can say."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
