"""Model beside model: differences with their p-values, by firing rate, and how even the layers are."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from cratelm.explain.registry import EXPLAINERS
from cratelm.protocols import ENDPOINT, SECOND_ENDPOINT
from cratelm.report.measured import Estimate, Measured, difference
from cratelm.report.rows import Pair, plain, shown_metrics
from cratelm.score.registry import ENDPOINT_METRICS
from cratelm.stats import holm, two_sided_p, variance_interval

RATES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Ends of the bins of firing rate; a bin holds its upper end."""
ENDPOINTS = [
    (name, metric)
    for name, explainer in EXPLAINERS.items()
    if explainer.role == "explainer" and not explainer.in_words
    for metric in ENDPOINT_METRICS
]


def differences(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """How much higher the first model scores than each other one, over all layers, and each model than its latents.

    The primary and the second endpoint, against the second model, are marked. The primary one has a p-value of its own;
    the p-values of all others are corrected by Holm.
    """
    first, *others = [trained for trained, _ in pairs]
    compared = [(first, rival) for rival in others]
    for model in others:
        compared += [(model, rival) for rival in others if rival.saes and rival.model == model.model and not model.saes]
    rows = [
        _difference(model, rival, *endpoint)
        | {
            "primary": pair_index == 0 and endpoint == ENDPOINT,
            "second": pair_index == 0 and endpoint == SECOND_ENDPOINT,
        }
        for pair_index, (model, rival) in enumerate(compared)
        for endpoint in ENDPOINTS
        if model.has_replicates(*endpoint) and rival.has_replicates(*endpoint)
    ]
    secondary = [row for row in rows if not row["primary"]]
    for row, corrected in zip(secondary, holm([row["p"] for row in secondary]), strict=True):
        row["p_holm"] = corrected
    return [plain(row) for row in rows]


def _difference(first: Measured, rival: Measured, explainer: str, metric: str) -> dict[str, Any]:
    estimate = difference(first, rival, explainer, metric)
    replicates = first.replicates(explainer, metric, None) - rival.replicates(explainer, metric, None)
    return {
        "model": first.name,
        "rival": rival.name,
        "explainer": explainer,
        "metric": metric,
        "difference": asdict(estimate),
        "p": two_sided_p(estimate.mean, replicates),
        "p_holm": None,
    }


def layer_differences(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """How much higher each layer of the first model scores than the same layer of each other one, with its interval.

    By the endpoint's explainer. Nothing is tested here, so there is no p-value.
    """
    first, *others = [trained for trained, _ in pairs]
    metrics = shown_metrics([first, *others])
    rows = [
        {"model": first.name, "rival": rival.name, "layer": layer, "metric": metric}
        | {"difference": asdict(difference(first, rival, ENDPOINT.explainer, metric, layer))}
        for rival in others
        for metric in metrics
        for layer in range(min(len(first.layers), len(rival.layers)))
    ]
    return [plain(row) for row in rows]


def rate_bins(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The mean score of units that fire equally often, by model: the correlations favour units that fire often."""
    rows, metrics = [], shown_metrics((trained for trained, _ in pairs), ENDPOINT_METRICS)
    for trained, _ in pairs:
        for metric in metrics:
            rows_of_metric = trained.rows(ENDPOINT.explainer, metric, None)
            scores, rates = trained.units["score"][rows_of_metric], trained.rates_of(rows_of_metric)
            for low, high in pairwise(RATES):
                inside = (rates > low) & (rates <= high)
                mean = float(scores[inside].mean()) if inside.any() else float("nan")
                rows.append(
                    {"model": trained.name, "metric": metric, "above": low, "to": high, "units": int(inside.sum())}
                    | {"score": mean}
                )
    return [plain(row) for row in rows]


def steadiness(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The (population) variance over layers of the layers' mean scores, with its interval; the paper's measure."""
    rows, metrics = [], shown_metrics(trained for trained, _ in pairs)
    for trained, _ in pairs:
        for metric in metrics:
            layers = range(len(trained.layers))
            means = [trained.mean(ENDPOINT.explainer, metric, layer) for layer in layers]
            replicates = [trained.replicates(ENDPOINT.explainer, metric, layer) for layer in layers]
            variance = Estimate(float(np.var(means)), *variance_interval(np.array(means), np.stack(replicates, axis=1)))
            named = {"model": trained.name, "metric": metric}
            rows.append(named | {"mean": float(np.mean(means)), "variance": asdict(variance)})
    return [plain(row) for row in rows]
