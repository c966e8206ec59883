"""The comparison as rows: one for each model, metric and layer, and one for the mean over a model's layers."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import ENDPOINT, STRICT
from cratelm.report.measured import Estimate, Measured
from cratelm.score.metric import Metric
from cratelm.score.registry import HEADLINE_METRICS, METRICS

CEILING = next(name for name, explainer in EXPLAINERS.items() if explainer.role == "ceiling")
Pair = tuple[Measured, Measured]
"""A trained model, and the same network before training."""


def shown_metrics(models: Iterable[Measured], names: Sequence[str] = HEADLINE_METRICS) -> list[str]:
    """Those of some metrics by which all models' units were scored, with the endpoint's explainer and an interval."""
    every_model = list(models)  # scores of an earlier version have none for whole-text
    return [name for name in names if all(model.has_replicates(ENDPOINT.explainer, name) for model in every_model)]


def explainers_beside(pairs: Sequence[Pair]) -> list[str]:
    """The explainers, other than the endpoint's, that stand beside it in the main table: those that units have."""
    return [
        name
        for name, explainer in EXPLAINERS.items()
        if explainer.role == "explainer" and not explainer.in_words and name != ENDPOINT.explainer
        if any(trained.has(name, metric) for trained, _ in pairs for metric in HEADLINE_METRICS)
    ]


def table_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of the table; what cannot be said is None."""
    metrics, beside = shown_metrics(trained for trained, _ in pairs), explainers_beside(pairs)
    return [
        plain(_row(trained, untrained, metric, layer, beside))
        for trained, untrained in pairs
        for metric in metrics
        for layer in [*range(len(trained.layers)), None]
    ]


def _row(
    trained: Measured, untrained: Measured, metric: str, layer: int | None, beside: Sequence[str]
) -> dict[str, Any]:
    where = (ENDPOINT.explainer, metric, layer)
    return {
        "model": trained.name,
        "layer": "all" if layer is None else layer,
        "metric": metric,
        "protocol": STRICT.name,
        "explainer": ENDPOINT.explainer,
        "units": int(trained.rows(*where).sum()),
        "score": asdict(trained.score(*where)),
        "score_of_scored": trained.mean_of_scored(*where),
        # By its own name, which is why the names of columns are reserved (explain/registry.py).
        **{name: asdict(_score_if_measured(trained, name, metric, layer)) for name in beside},
        "shuffled": asdict(trained.shuffled(*where)),
        "above_shuffled": asdict(trained.above_shuffled(*where)),
        "random_weights": asdict(untrained.score(*where)),
        "ceiling": trained.mean(CEILING, metric, layer) if trained.has(CEILING, metric) else None,
        "token_share": trained.statistic("token_share", layer),
        "token_share_random_weights": untrained.statistic("token_share", layer),
        "position_share": trained.statistic("position_share", layer),
        "firing_rate": trained.statistic("firing_rate", layer),
        **{status: trained.share(*where, status) for status in ("dead", "silent", "constant")},
    }


def _score_if_measured(trained: Measured, explainer: str, metric: str, layer: int | None) -> Estimate:
    if not trained.has(explainer, metric):
        return Estimate(float("nan"), float("nan"), float("nan"))
    return trained.score(explainer, metric, layer)


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
    # A metric that is no sum over excerpts has no replicates.
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
