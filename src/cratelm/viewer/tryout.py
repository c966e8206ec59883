"""A text of one's own: which units fire on it, how one unit does, and what is said next when units are clamped."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cratelm.errors import InputError
from cratelm.greedy import Writing
from cratelm.records.one_unit import read_groups
from cratelm.units.clamp import Clamp, at_coordinate
from cratelm.units.read import read_text, read_units
from cratelm.units.steer import steer
from cratelm.viewer.json_numbers import significant, significant_number
from cratelm.viewer.network import Network
from cratelm.viewer.simulated_excerpts import explanations_of
from cratelm.viewer.unusual import share_as_strong

FIRING = 60
"""Units that are listed."""
SHORTEST = 16
"""Tokens of an example."""


@dataclass(frozen=True)
class Where:
    """Where firing units are looked for: at one token of the text, and in one layer, or with None at all of them."""

    token: int | None = None
    layer: int | None = None


def fire(network: Network, text: str | None, chosen: tuple[int, int] | None, where: Where) -> dict[str, Any]:
    """The units that fire most on a text, and one unit's activations, seen and expected, on each of its tokens.

    Units are ranked by how unusual their highest activation is for them (`share_as_strong`). Without a text, an example
    is taken (`example_text`). Raises InputError where the text has no such token.
    """
    text = example_text(network, chosen or (0, 0)) if text is None else text
    tokens = read_text(network.model, network.tokenizer, text)
    by_layer = read_units(network.model, network.viewed.sites, tokens)
    if where.token is not None and not 0 <= where.token < len(tokens) - 1:
        raise InputError(f"the text has no token {where.token}, but tokens 0 to {len(tokens) - 2}.")
    layers = range(len(by_layer)) if where.layer is None else [where.layer]
    rows = [row for layer in layers for row in _strongest(network, layer, by_layer[layer], where.token)]
    rows.sort(key=lambda row: (row["as_strong"], -row["share"]))
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


def _strongest(network: Network, layer: int, values: np.ndarray, token: int | None) -> list[dict[str, Any]]:
    """Of values (T, units): the units whose activation at a token, or highest one, is most unusual for them."""
    statistics = network.viewed.statistics(layer, network.viewed.protocol.explained_on)
    recorded = statistics["maximum"]
    peak = values.max(0) if token is None else values[token]  # (units,)
    as_strong = share_as_strong(peak, statistics)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where((recorded > 0) & (peak > 0), peak / recorded, 0)
    order = np.lexsort((-share, as_strong))
    return [
        {
            "layer": layer,
            "unit": int(unit),
            "maximum": significant_number(float(peak[unit])),
            "share": significant_number(float(share[unit])),
            "as_strong": significant_number(float(as_strong[unit])),
            "place": int(values[:, unit].argmax()) if token is None else token,
            "count": int((values[:, unit] > 0).sum()),
        }
        for unit in order[share[order] > 0][:FIRING]
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


def steer_text(network: Network, text: str, clamps: list[Clamp], new_tokens: int, writing: Writing) -> dict[str, Any]:
    """The next tokens and the continuation of a text with units clamped, and those without."""
    located = [at_coordinate(clamp, network.viewed.sites) for clamp in clamps]
    names = network.site_names
    return asdict(steer(network.model, network.tokenizer, names, located, text, 10, new_tokens, writing))
