"""What a unit's weights say: the tokens that it raises and lowers, and the units that write alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cratelm.units.directions import nearest
from cratelm.units.unembedding import token_effects
from cratelm.viewer.json_numbers import significant
from cratelm.viewer.network import Network

COUNT = 12
"""Tokens each way, and neighbours."""


def weights_document(network: Network, layer: int, unit: int) -> dict[str, Any]:
    """`raised` and `lowered` tokens, and `neighbours`; None for what is not known of this kind of model."""
    return weights_documents(network, layer, [unit])[0]


@torch.inference_mode()
def weights_documents(network: Network, layer: int, units: Sequence[int]) -> list[dict[str, Any]]:
    """The same for several units of a layer."""
    directions = network.directions[layer]
    if directions is None:
        return [{"raised": None, "lowered": None, "neighbours": None} for _ in units]
    effects = token_effects(network.model, directions[list(units)], len(network.viewed.texts))
    every = [None] * len(units) if effects is None else list(effects)
    return [
        _effects(network, row) | {"neighbours": _neighbours(directions, unit)}
        for unit, row in zip(units, every, strict=True)
    ]


def _neighbours(directions: torch.Tensor, unit: int) -> list[dict[str, Any]]:
    near = nearest(directions, unit, COUNT)
    cosines = significant(np.array(near.cosine))
    return [{"unit": unit, "cosine": cosine} for unit, cosine in zip(near.unit, cosines, strict=True)]


def _effects(network: Network, effects: torch.Tensor | None) -> dict[str, Any]:
    """Of one unit on all tokens, (V,)."""
    if effects is None:
        return {"raised": None, "lowered": None}
    return {
        "raised": _tokens(network, *effects.topk(COUNT)),
        "lowered": _tokens(network, *effects.topk(COUNT, largest=False)),
    }


def _tokens(network: Network, values: torch.Tensor, tokens: torch.Tensor) -> list[dict[str, Any]]:
    texts = network.viewed.texts
    rows = zip(tokens.tolist(), significant(values.cpu().numpy()), strict=True)
    return [{"token": texts[token], "effect": effect} for token, effect in rows]
