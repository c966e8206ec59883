"""What a unit's weights say: the tokens that it raises and lowers, and the units that write alike."""

from typing import Any

import torch

from cratelm.units.directions import nearest
from cratelm.units.unembedding import token_effects
from cratelm.viewer.json_numbers import significant, significant_number
from cratelm.viewer.network import Network

COUNT = 12
"""Tokens each way, and neighbours."""


@torch.inference_mode()
def weights_document(network: Network, layer: int, unit: int) -> dict[str, Any]:
    """`raised` and `lowered` tokens, and `neighbours`; None for what is not known of this kind of model."""
    directions = network.directions[layer]
    if directions is None:
        return {"raised": None, "lowered": None, "neighbours": None}
    near = nearest(directions, unit, COUNT)
    neighbours = [{"unit": u, "cosine": significant_number(c)} for u, c in zip(near.unit, near.cosine, strict=True)]
    return _effects(network, directions[unit]) | {"neighbours": neighbours}


def _effects(network: Network, direction: torch.Tensor) -> dict[str, Any]:
    effects = token_effects(network.model, direction, len(network.viewed.texts))
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
