"""Where a layer of each of our architectures has what the theory speaks of."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.errors import InputError
from cratelm.families import family_of
from cratelm.models.modeling_crate_variant import VariantSparseCoding


@dataclass(frozen=True)
class Parts:
    """One layer's modules and weights."""

    first_norm: nn.Module
    """It reads Z, the stream before the layer."""
    second_norm: nn.Module
    """It reads Z', the stream between the two half-blocks."""
    projection: torch.Tensor
    """(K p, d): the subspaces U; where queries, keys and values differ, the values' projection."""
    code: nn.Module
    """It puts out the units."""
    atoms: torch.Tensor
    """(h, d): what each unit adds to the stream."""
    coding: Any
    """CRATE's sparse block, whose ISTA steps are measured; None where there are none, as in an MLP."""


def layer_parts(model: PreTrainedModel) -> list[Parts]:
    """The parts of every layer; raises InputError for a model that is not of our architectures."""
    family = family_of(model.config.model_type)
    if family is None:
        raise InputError(
            f"a {model.config.model_type} model has no subspaces or dictionaries that are known here. analyze takes "
            "CRATE, its variants and the GPT-2 baseline; `cratelm import` brings OpenAI's GPT-2 into the last."
        )
    parts_of: Callable[[nn.Module], Parts] = family.load("layer_parts")
    layers: Any = model.base_model.layers
    return [parts_of(layer) for layer in layers]


def crate_parts(layer: Any) -> Parts:
    """A layer of CRATE or of one of its variants."""
    coding = layer.coding
    atoms = getattr(coding, "decoding_dictionary", None)
    return Parts(
        first_norm=layer.attention_norm,
        second_norm=layer.coding_norm,
        projection=layer.attention.subspace_proj.weight,
        code=coding.code,
        atoms=coding.dictionary if atoms is None else atoms,
        coding=coding,
    )


def one_step_parts(layer: Any) -> Parts:
    """A layer of nanochat's CRATE-alpha: a code in one step without a fixed size, so that no ISTA path is measured."""
    return replace(crate_parts(layer), coding=None)


def mlp_parts(layer: Any) -> Parts:
    """A layer of the GPT-2 baseline."""
    attention = layer.attention
    values = attention.value_proj if hasattr(attention, "value_proj") else attention.subspace_proj
    return Parts(
        first_norm=layer.attention_norm,
        second_norm=layer.mlp_norm,
        projection=values.weight,
        code=layer.mlp.hidden,
        atoms=layer.mlp.down_proj.weight.T,
        coding=None,
    )


def step_and_threshold(coding: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """eta and lambda of a sparse block: a number each, () or, where they are learned, one a unit, (h,)."""
    if isinstance(coding, VariantSparseCoding):
        step, threshold = coding.step_sizes_and_thresholds()
    else:
        step, threshold = coding.step_size, coding.threshold
    return torch.as_tensor(step).float(), torch.as_tensor(threshold).float()
