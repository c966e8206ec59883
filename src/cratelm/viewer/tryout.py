"""A text of one's own: which units fire on it, how one unit does, and what is said next when units are clamped."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from cratelm.errors import InputError
from cratelm.training.text_losses import context_length, encode
from cratelm.units.clamp import Clamp
from cratelm.units.sites import at_sites
from cratelm.units.steer import LONGEST, steer
from cratelm.viewer.json_numbers import significant, significant_number
from cratelm.viewer.network import Network
from cratelm.viewer.simulated_excerpts import explanations_of

FIRING = 60
"""Units that are listed."""


def read_text(network: Network, text: str) -> np.ndarray:
    """The text's tokens behind the model's start token, (T,); InputError where the model cannot read so many."""
    vocabulary = network.model.config.get_text_config().vocab_size
    (tokens,) = encode(network.tokenizer, [text], vocabulary).tokens
    context = context_length(network.model, LONGEST)
    if len(tokens) > context:
        raise InputError(f"the text has {len(tokens)} tokens, the model reads {context}. Give a shorter one.")
    if len(tokens) < 2:
        raise InputError("the text is empty. Type something.")
    return tokens


@torch.inference_mode()
def activations(network: Network, tokens: np.ndarray) -> list[np.ndarray]:
    """The units of each layer on tokens (T,), the start token's left out: (T - 1, units) each, as they are recorded."""
    by_site: dict[str, np.ndarray] = {}
    signed = {site.name: site.signed for site in network.viewed.sites}

    def see(name: str, output: torch.Tensor) -> None:
        values = output[0, 1:].float()
        values = torch.cat([values.relu(), (-values).relu()], dim=-1) if signed[name] else values
        by_site[name] = values.cpu().numpy()

    with at_sites(network.model, network.site_names, see):
        ids = torch.from_numpy(tokens)[None].to(network.model.device)
        network.model.base_model(input_ids=ids, use_cache=False)
    return [by_site[name] for name in network.site_names]


def fire(network: Network, text: str, chosen: tuple[int, int] | None) -> dict[str, Any]:
    """The units that fire most on a text, and one unit's activations, seen and expected, on each of its tokens.

    Units are ranked by their highest activation as a share of the highest one recorded of them.
    """
    tokens = read_text(network, text)
    by_layer = activations(network, tokens)
    rows = [row for layer, values in enumerate(by_layer) for row in _strongest(network, layer, values)]
    rows.sort(key=lambda row: -row["share"])
    texts = network.viewed.texts
    return {
        "tokens": [texts[token] if token < len(texts) else f"<{token}>" for token in tokens[1:].tolist()],
        "firing": rows[:FIRING],
        "chosen": None if chosen is None else _one(network, tokens[1:], chosen, by_layer),
    }


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
    located = [_at_coordinate(network, clamp) for clamp in clamps]
    names = network.site_names
    return asdict(steer(network.model, network.tokenizer, names, located, text, count=10, new_tokens=new_tokens))


def _at_coordinate(network: Network, clamp: Clamp) -> Clamp:
    """A clamp of a unit as one of the module's coordinates; they differ at sites whose values can be negative."""
    if not clamp.layer < len(network.viewed.sites):
        raise InputError(f"there is no layer {clamp.layer}.")
    site = network.viewed.sites[clamp.layer]
    if clamp.unit >= site.units:
        raise InputError(f"layer {clamp.layer} has {site.units} units: there is no unit {clamp.unit}.")
    half = site.units // 2
    if not site.signed or clamp.unit < half:
        return clamp
    value = clamp.value if clamp.operation == "scale" else -clamp.value
    return replace(clamp, unit=clamp.unit - half, value=value)
