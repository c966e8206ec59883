"""The comparison as rows: one for each model, metric and layer, and one for the mean over a model's layers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import STRICT
from cratelm.report.measured import Estimate, Measured
from cratelm.score.metric import Metric
from cratelm.score.metrics.whole_text import WHOLE_TEXT
from cratelm.score.registry import HEADLINE_METRICS, METRICS, PRIMARY_EXPLAINER, PRIMARY_METRIC

EXPLAINER = PRIMARY_EXPLAINER
CEILING = next(name for name, explainer in EXPLAINERS.items() if explainer.role == "ceiling")
Pair = tuple[Measured, Measured]
"""A trained model, and the same network before training."""


def table_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of the table; what cannot be said is None."""
    return [
        plain(_row(trained, untrained, metric, layer))
        for trained, untrained in pairs
        for metric in HEADLINE_METRICS
        for layer in [*range(len(trained.layers)), None]
    ]


def _row(trained: Measured, untrained: Measured, metric: str, layer: int | None) -> dict[str, Any]:
    where = (EXPLAINER, metric, layer)
    return {
        "model": trained.name,
        "layer": "all" if layer is None else layer,
        "metric": metric,
        "protocol": STRICT.name,
        "explainer": EXPLAINER,
        "units": sum(trained.layers) if layer is None else trained.layers[layer],
        "score": asdict(trained.score(*where)),
        "score_of_scored": trained.mean_of_scored(*where),
        "graph": asdict(trained.score("graph", metric, layer)),
        "shuffled": asdict(trained.shuffled(*where)),
        "above_shuffled": asdict(trained.above_shuffled(*where)),
        "random_weights": asdict(untrained.score(*where)),
        "ceiling": trained.mean(CEILING, metric, layer) if trained.has(CEILING, metric) else None,
        "whole_text": trained.mean(EXPLAINER, WHOLE_TEXT.name, layer) if metric == PRIMARY_METRIC else None,
        "token_share": trained.statistic("token_share", layer),
        "token_share_random_weights": untrained.statistic("token_share", layer),
        "position_share": trained.statistic("position_share", layer),
        "firing_rate": trained.statistic("firing_rate", layer),
        **{status: trained.share(*where, status) for status in ("dead", "silent", "constant")},
    }


def details() -> Iterator[tuple[str, Metric, str]]:
    """Explainer, metric and column of the numbers beside the main table."""
    for metric in METRICS.values():
        for explainer in EXPLAINERS.values():
            if explainer.in_words or not metric.applies(explainer, STRICT):
                continue
            if not metric.headline or explainer.role == "control":
                yield explainer.name, metric, "score"
            if explainer.role == "explainer":
                yield from ((explainer.name, metric, column) for column in metric.details)


def detail_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """What else is known of each explainer and layer: a row for each number, with the random weights' beside it."""
    return [
        plain(_detail(pair, explainer, metric, column, layer))
        for pair in pairs
        for explainer, metric, column in details()
        if pair[0].has(explainer, metric.name)
        for layer in [*range(len(pair[0].layers)), None]
    ]


def _detail(pair: Pair, explainer: str, metric: Metric, column: str, layer: int | None) -> dict[str, Any]:
    trained, untrained = pair
    where = explainer, metric.name, layer
    estimated = column == "score" and trained.has_replicates(explainer, metric.name)
    return {
        "model": trained.name,
        "layer": "all" if layer is None else layer,
        "explainer": explainer,
        "metric": metric.name,
        "column": column,
        "value": trained.mean(*where, column),
        "score": asdict(trained.score(*where)) if estimated else None,
        "one_sided": trained.share(*where, "one-sided") or None,
        "shuffled": trained.mean(*where, "shuffled") if column == "score" else None,
        "random_weights": untrained.mean(*where, column),
    }


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
