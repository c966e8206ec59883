"""A text of one's own: which units fire on it, how one unit does, and what is said next when units are clamped."""

from dataclasses import asdict
from typing import Any

import numpy as np

from cratelm.errors import InputError
from cratelm.records.one_unit import read_groups
from cratelm.units.clamp import Clamp, at_coordinate
from cratelm.units.read import read_text, read_units
from cratelm.units.steer import steer
from cratelm.viewer.json_numbers import significant, significant_number
from cratelm.viewer.network import Network
from cratelm.viewer.simulated_excerpts import explanations_of

FIRING = 60
"""Units that are listed."""
SHORTEST = 16
"""Tokens of an example."""


def fire(network: Network, text: str | None, chosen: tuple[int, int] | None) -> dict[str, Any]:
    """The units that fire most on a text, and one unit's activations, seen and expected, on each of its tokens.

    Units are ranked by their highest activation as a share of the highest one recorded of them. Without a text, an
    example is taken (`example_text`).
    """
    text = example_text(network, chosen or (0, 0)) if text is None else text
    tokens = read_text(network.model, network.tokenizer, text)
    by_layer = read_units(network.model, network.viewed.sites, tokens)
    rows = [row for layer, values in enumerate(by_layer) for row in _strongest(network, layer, values)]
    rows.sort(key=lambda row: -row["share"])
    texts = network.viewed.texts
    return {
        "text": text,
        "tokens": [texts[token] if token < len(texts) else f"<{token}>" for token in tokens[1:].tolist()],
        "firing": rows[:FIRING],
        "chosen": None if chosen is None else _one(network, tokens[1:], chosen, by_layer),
    }


def example_text(network: Network, chosen: tuple[int, int]) -> str:
    """The beginning of the first long excerpt that was recorded of a unit, to its highest activation and 16 tokens at
    least. Of a unit that fires this is its top excerpt. Raises InputError where a unit has none."""
    layer, unit = chosen
    groups = read_groups(network.viewed.records, layer, [unit])
    if not groups:
        raise InputError(f"nothing was recorded of unit {layer}/{unit} that could be an example. Type a text.")
    excerpts = groups[0].excerpts
    length = max(SHORTEST, int(excerpts.activations[0].argmax()) + 1)
    return network.tokenizer.backend_tokenizer.decode(excerpts.tokens[0, :length].tolist())


def _strongest(network: Network, layer: int, values: np.ndarray) -> list[dict[str, Any]]:
    recorded = network.viewed.statistics(layer, network.viewed.protocol.explained_on)["maximum"]
    peak = values.max(0)  # (units,)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where((recorded > 0) & (peak > 0), peak / recorded, 0)
    return [
        {
            "layer": layer,
            "unit": int(unit),
            "maximum": significant_number(float(peak[unit])),
            "share": significant_number(float(share[unit])),
            "place": int(values[:, unit].argmax()),
            "count": int((values[:, unit] > 0).sum()),
        }
        for unit in np.argsort(-share, kind="stable")[:FIRING]
        if share[unit] > 0
    ]


def _one(network: Network, tokens: np.ndarray, chosen: tuple[int, int], by_layer: list[np.ndarray]) -> dict[str, Any]:
    layer, unit = chosen
    explanations = explanations_of(network.viewed, layer, network.viewed.protocol.long)
    recorded = network.viewed.statistics(layer, network.viewed.protocol.explained_on)["maximum"][unit]
    place = np.zeros(1, np.int64)
    expected = {
        name: explanation.simulate(np.array([unit]), tokens[None], place)[0]
        for name, explanation in explanations.items()
    }
    return {
        "layer": layer,
        "unit": unit,
        "maximum": significant_number(float(recorded)),
        "activations": significant(by_layer[layer][:, unit]),
        "simulated": {name: significant(values) for name, values in expected.items()},
    }


def steer_text(network: Network, text: str, clamps: list[Clamp], new_tokens: int) -> dict[str, Any]:
    """The next tokens and the continuation of a text with units clamped, beside those without."""
    located = [at_coordinate(clamp, network.viewed.sites) for clamp in clamps]
    names = network.site_names
    return asdict(steer(network.model, network.tokenizer, names, located, text, count=10, new_tokens=new_tokens))
