"""What the paper published, as data: its figures, and the table that it prints of them."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

SIZES = ("1L", "2L", "3L", "6L", "12L")
"""The paper's models, by their number of layers; it calls the last two S and B."""
LEFT_OUT = ("6L", "12L")
"""The sizes whose last layer the paper's table and figures leave out, without saying why."""


@cache
def published() -> dict[str, Any]:
    """The package's published.json: every number with where it was read from."""
    return json.loads(files("cratelm.reproduce").joinpath("published.json").read_text(encoding="utf-8"))


def published_layers(metric: str, model: str, size: str) -> np.ndarray:
    """The scores of all layers, x 100: (layers,), NaN where a value was not published, empty where none was."""
    found = published()["scores"][metric].get(model, {}).get(size, [])
    return np.array(found, dtype=np.float64)


def as_printed(metric: str, model: str, size: str) -> tuple[float, float]:
    """The mean and the (population) variance over layers as the paper's table has them; NaN where it has none."""
    layers = published_layers(metric, model, size)
    if not layers.size:
        return float("nan"), float("nan")
    layers = layers[:-1] if size in LEFT_OUT else layers
    return float(layers.mean()), float(layers.var())


def with_every_layer(metric: str, model: str, size: str) -> tuple[float, float]:
    """The same over all layers: NaN where the last one was not published."""
    layers = published_layers(metric, model, size)
    return float(layers.mean()), float(layers.var())
