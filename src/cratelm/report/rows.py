"""The comparison as rows: one for each model, metric and layer, and one for the mean over a model's layers."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cratelm.report.measured import Estimate, Measured, difference
from cratelm.score.config import METRICS, PRIMARY_METRIC

EXPLAINER, CEILING = "table", "table-full"
Pair = tuple[Measured, Measured]
"""A trained model, and the same network before training."""


def table_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of the table; what cannot be said is None."""
    return [
        _plain(_row(trained, untrained, metric, layer))
        for trained, untrained in pairs
        for metric in METRICS
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
        "shuffled": asdict(trained.shuffled(*where)),
        "above_shuffled": asdict(trained.above_shuffled(*where)),
        "random_weights": asdict(untrained.score(*where)),
        "ceiling": asdict(trained.score(CEILING, metric, layer)),
        "token_share": trained.token_share(layer),
        "token_share_random_weights": untrained.token_share(layer),
        **{status: trained.share(*where, status) for status in ("dead", "silent", "constant")},
    }


def model_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """What each model is and costs: parameters, tokens seen, validation loss."""
    return [
        _plain(
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
    ]


def differences(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """How much higher the first model scores than each other one, over all layers; the primary endpoint is marked."""
    first = pairs[0][0]
    return [
        _plain(
            {
                "model": first.name,
                "rival": rival.name,
                "metric": metric,
                "primary": metric == PRIMARY_METRIC,
                "difference": asdict(difference(first, rival, EXPLAINER, metric)),
            }
        )
        for rival, _ in pairs[1:]
        for metric in METRICS
    ]


def _plain(value: Any) -> Any:
    """NaN as None, which JSON can say."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
