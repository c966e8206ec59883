"""Made-up results of the reproduction's cells."""

from collections.abc import Mapping
from typing import Any

from cratelm.reproduce.store import ALL, END, MODEL, Key, Result, Value

METRICS = ("random-only", "top-and-random", "anthropic")


def of_cell(model: str, seed: int, numbers: Mapping[Key, Value], **cell: Any) -> Result:
    """A result of these numbers, of a cell of two layers on reviews unless `cell` says otherwise."""
    given = {"group": "sizes", "model": model, "seed": seed, "layers": 2, "corpus": "reviews", "tokenizer": "bpe:4096"}
    return {"cell": given | cell, "numbers": dict(numbers)}


def scored(
    value: float,
    metric: str = "random-only",
    layer: int | str = ALL,
    explainer: str = "table",
    stage: str = END,
    source: str = MODEL,
    **more: float,
) -> dict[Key, Value]:
    """A score, and what else has its key."""
    return {
        Key(name, source, stage, explainer, metric, str(layer)): number
        for name, number in {"score": value, **more}.items()
    }


def made_up(model: str, seed: int, points: dict[str, tuple[float, float]]) -> Result:
    """A result with losses and primary scores alone, by the share of the training."""
    numbers: dict[Key, Value] = {}
    for stage, (loss, score) in points.items():
        numbers |= {Key("nats_per_token", stage=stage): loss} | scored(score, stage=stage)
    return of_cell(model, seed, numbers)


def whole(model: str, seed: int, loss: float, value: float, layers: int = 2) -> Result:
    """A result in which every score and statistic of every layer has the same value."""
    numbers: dict[Key, Value] = {Key("nats_per_token"): loss}
    for layer in (*range(layers), ALL):
        for metric in METRICS:
            numbers |= scored(value, metric, layer, dead=0.0, silent=0.0, constant=0.0)
        numbers |= {Key(name, layer=str(layer)): value for name in ("token_share", "firing_rate")}
    return of_cell(model, seed, numbers)


def with_one_bin(model: str, seed: int, score: float, layers: int = 2) -> Result:
    """A result whose 40 units are all of one kind, and score so by random-only and half as much by others."""
    columns = {"token_share": 0.5, "firing_rate": 0.1, "random-only": score}
    columns |= {"top-and-random": score / 2, "anthropic": score / 2}
    units = {name: [value] * 40 for name, value in columns.items()}
    return whole(model, seed, 5.0, score, layers) | {"units": units}
