"""Whether two ways of scoring put the same units first."""

from typing import Any

import numpy as np

from cratelm.artifacts import Artifact
from cratelm.errors import InputError
from cratelm.score.score import read_scores
from cratelm.seeds import derive_seed
from cratelm.stats import interval, spearman, spearman_of_rows

REPLICATES = 1000
KINDS = ("explainer", "metric")


def agreements(scores: Artifact, rival_scores: Artifact) -> list[dict[str, Any]]:
    """Spearman's rho over the units of each layer, for each explainer and metric of `scores` against each rival.

    Where both hold the same metrics, each is compared with itself; otherwise every one with every one. Raises
    InputError where the two are of different records.
    """
    if scores.manifest["inputs"]["records"] != rival_scores.manifest["inputs"]["records"]:
        raise InputError(
            f"{scores.path} and {rival_scores.path} are scores of different records: their units are not the same."
        )
    first, second = read_scores(scores), read_scores(rival_scores)
    names, others = _names(first), _names(second)
    shared = [name for name in names if name in others]
    pairs = [(name, name) for name in shared] if shared else [(name, mine) for name in names for mine in others]
    rows = []
    for name, rival in pairs:
        for layer in np.unique(first["layer"]):
            rows += _compared(_column(first, name, layer), _column(second, rival, layer), name, rival, int(layer))
    return rows


def _names(scores: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(*(scores[kind].tolist() for kind in KINDS), strict=True)))


def _column(scores: dict[str, np.ndarray], name: tuple[str, str], layer: int) -> dict[int, float]:
    rows = (scores["explainer"] == name[0]) & (scores["metric"] == name[1]) & (scores["layer"] == layer)
    return dict(zip(scores["unit"][rows].tolist(), scores["score"][rows].tolist(), strict=True))


def _compared(
    scores: dict[int, float], rival_scores: dict[int, float], name: tuple[str, str], rival: tuple[str, str], layer: int
) -> list[dict[str, Any]]:
    # A judge scores a sample of units alone, and none that it failed on.
    units = [unit for unit in scores if unit in rival_scores and not np.isnan([scores[unit], rival_scores[unit]]).any()]
    if len(units) < 3:
        return []
    x, y = (np.array([by_unit[unit] for unit in units]) for by_unit in (scores, rival_scores))
    generator = np.random.default_rng(derive_seed(0, "agreement", *name, *rival, layer))
    drawn = generator.integers(0, len(units), (REPLICATES, len(units)))
    low, high = interval(spearman_of_rows(x[drawn], y[drawn]))
    rho = {"mean": spearman(x, y), "low": float(low), "high": float(high)}
    return [{"one": "/".join(name), "other": "/".join(rival), "layer": layer, "units": len(units), "rho": rho}]
