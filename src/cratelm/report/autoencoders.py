"""Sparse autoencoders beside the models: what they cost, and how their latents score at equal cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import matplotlib
import numpy as np

from cratelm.protocols import ENDPOINT
from cratelm.report.figures import STYLE, looks, new_figure, reach, svg
from cratelm.report.measured import Estimate, Measured
from cratelm.report.rows import Pair, plain, shown_metrics

FIGURES = ("l0", "explained_variance", "dead_share", "delta_loss", "loss_recovered")
"""Of each site; together there is `delta_loss` alone."""


def autoencoder_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The quality of the autoencoders on each layer, and the loss with those of all layers in the model."""
    rows = []
    for trained, _ in pairs:
        if trained.saes is None:
            continue
        training = trained.saes.config
        named = {"model": trained.name, "width": training["width"], "k": training["k"], "tokens": training["tokens"]}
        for layer, site in enumerate(trained.quality["sites"].values()):
            rows.append(named | {"layer": layer} | {key: site[key] for key in FIGURES})
        together = trained.quality["together"]["delta_loss"]
        rows.append(named | {"layer": "all"} | dict.fromkeys(FIGURES) | {"delta_loss": together})
    return [plain(row) for row in rows]


@dataclass(frozen=True)
class Frontier:
    """The dictionaries on one model, by what they cost it."""

    model: str
    delta_loss: list[float]
    """In nats a token, all layers' autoencoders together; rising."""
    dictionaries: list[Measured]

    def at(self, delta_loss: float, metric: str) -> tuple[float, np.ndarray]:
        """The mean score at a delta loss and its replicates, on the straight line between the two neighbours."""
        right = int(np.clip(np.searchsorted(self.delta_loss, delta_loss), 1, len(self.delta_loss) - 1))
        low, high = self.delta_loss[right - 1 : right + 1]
        share = (delta_loss - low) / (high - low)
        left, after = self.dictionaries[right - 1 : right + 1]
        mean = (1 - share) * left.mean(ENDPOINT.explainer, metric, None) + share * after.mean(
            ENDPOINT.explainer, metric, None
        )
        replicates = [dictionary.replicates(ENDPOINT.explainer, metric, None) for dictionary in (left, after)]
        return mean, (1 - share) * replicates[0] + share * replicates[1]


def frontiers(pairs: Sequence[Pair]) -> list[Frontier]:
    """A frontier for each model that has autoencoders."""
    models = dict.fromkeys(trained.model.path.name for trained, _ in pairs if trained.saes)
    every_frontier = []
    for model in models:
        mine = [trained for trained, _ in pairs if trained.saes and trained.model.path.name == model]
        mine.sort(key=_delta_loss)
        every_frontier.append(Frontier(model, [_delta_loss(dictionary) for dictionary in mine], mine))
    return every_frontier


def _delta_loss(dictionary: Measured) -> float:
    return dictionary.quality["together"]["delta_loss"]["mean"]


def equal_delta_loss(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The latents' scores on two models at the same delta loss, where the costs of their dictionaries overlap.

    At the middle of the overlap, by the endpoint's explainer, mean over layers. Empty where nothing overlaps.
    """
    rows, metrics = [], shown_metrics(trained for trained, _ in pairs)
    for own, rival in combinations([frontier for frontier in frontiers(pairs) if len(frontier.delta_loss) > 1], 2):
        low = max(own.delta_loss[0], rival.delta_loss[0])
        high = min(own.delta_loss[-1], rival.delta_loss[-1])
        if low > high:
            continue
        at = (low + high) / 2
        for metric in metrics:
            (first, drawn), (second, drawn_again) = (frontier.at(at, metric) for frontier in (own, rival))
            rows.append(
                {
                    "model": f"{own.model}+sae",
                    "rival": f"{rival.model}+sae",
                    "metric": metric,
                    "delta_loss": at,
                    "score": asdict(Estimate.of(first, drawn)),
                    "rival_score": asdict(Estimate.of(second, drawn_again)),
                    "difference": asdict(Estimate.of(first - second, drawn - drawn_again)),
                }
            )
    return [plain(row) for row in rows]


def loss_paid(pairs: Sequence[Pair]) -> str:
    """The mean score against validation loss: each model, and along a line the dictionaries on it."""
    with matplotlib.rc_context(STYLE):
        metrics = shown_metrics(trained for trained, _ in pairs)
        figure, axes = new_figure(len(metrics))
        models = [trained for trained, _ in pairs if trained.saes is None]
        by_model = {frontier.model: frontier for frontier in frontiers(pairs)}
        for axis, metric in zip(axes[0], metrics, strict=True):
            for model, (colour, mark, _) in zip(models, looks(), strict=False):
                _points(axis, [model], metric, colour, mark, model.name)
                _points(axis, by_model[model.name].dictionaries, metric, colour, f"{mark}--", f"{model.name}+sae")
            axis.set(title=metric, xlabel="validation loss, nats a token", ylabel="mean score", ylim=(0, 1))
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
        return svg(figure)


def _points(axis: Any, models: Sequence[Measured], metric: str, colour: str, style: str, label: str) -> None:
    """Scores with their intervals, by loss."""
    scores = [model.score(ENDPOINT.explainer, metric, None) for model in models]
    means = [score.mean for score in scores]
    losses = [model.loss for model in models]
    axis.plot(losses, means, style, color=colour, label=label)
    axis.errorbar(losses, means, reach(scores), color=colour, capsize=3, fmt="none")
    for model, loss, mean in zip(models, losses, means, strict=True):
        if model.saes:
            size = model.name.partition("+sae-")[2]
            axis.annotate(size, (loss, mean), xytext=(5, 3), textcoords="offset points", fontsize=6)
