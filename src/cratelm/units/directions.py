"""What a unit writes: the direction that one activation adds to the model's hidden states, read off the weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

LATENTS = ".sae.latents"


def unit_directions(model: PreTrainedModel, site: str, signed: bool = False) -> torch.Tensor | None:
    """A direction a unit, (units, d); None where the module behind the site is of a kind that is not known here.

    For a code these are the dictionary's atoms, for a hidden layer the columns of the projection behind it, for
    latents the decoder's rows. Of a signed site, negative parts write the opposite.
    """
    found = _directions(model, site)
    return torch.cat([found, -found]) if signed and found is not None else found


def _directions(model: PreTrainedModel, site: str) -> torch.Tensor | None:
    if site.endswith(LATENTS):
        base = site.removesuffix(LATENTS)
        attached: Any = model.get_submodule(site.rpartition(".")[0])
        (sae,) = attached._sae
        decoder, behind = sae.W_dec.detach(), _directions(model, base)  # (latents, d_in), (d_in, d) | None
        return decoder if behind is None else decoder @ behind
    parent = model.get_submodule(site.rpartition(".")[0])
    if isinstance(dictionary := getattr(parent, "dictionary", None), torch.Tensor):
        return dictionary.detach()  # (units, d)
    if isinstance(projection := getattr(parent, "down_proj", None), nn.Linear):
        return projection.weight.detach().T
    if isinstance(projection := getattr(parent, "c_proj", None), Conv1D):  # which holds its weight (in, out)
        return projection.weight.detach()
    return None


@dataclass(frozen=True)
class Neighbours:
    """The units of a layer that write most alike."""

    unit: list[int]
    cosine: list[float]


def nearest(directions: torch.Tensor, unit: int, count: int) -> Neighbours:
    """The `count` units whose directions have the highest cosine with that of `unit`, the nearest first."""
    cosines = nn.functional.cosine_similarity(directions, directions[unit][None], dim=-1)  # (units,)
    cosines[unit] = -torch.inf
    values, places = cosines.topk(min(count, len(cosines) - 1))
    return Neighbours(places.tolist(), values.tolist())


def token_effects(model: PreTrainedModel, directions: torch.Tensor) -> torch.Tensor | None:
    """What directions (..., d) do to each next token's logit through the unembedding alone, (..., V), 0 on average.

    The layers between and the last norm's division are left out (the "logit lens", nostalgebraist 2020). None where
    the directions are not of the hidden states.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.weight.shape[1] != directions.shape[-1]:
        return None
    norm = _last_norm(model)
    if isinstance(norm, nn.LayerNorm):
        directions = directions - directions.mean(-1, keepdim=True)
    scale = getattr(norm, "weight", None)
    effects = (directions if scale is None else directions * scale.detach()) @ head.weight.detach().T
    return effects - effects.mean(-1, keepdim=True)


def _last_norm(model: PreTrainedModel) -> nn.Module | None:
    norms = [module for name, module in model.base_model.named_children() if "norm" in name or name.startswith("ln_")]
    return norms[-1] if norms else None
