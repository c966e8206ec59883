"""A model of a study in memory."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cratelm.viewer.viewed_study import ViewedModel

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Network:
    """A model in memory."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    viewed: ViewedModel

    @cached_property
    def site_names(self) -> list[str]:
        """The recorded sites, by layer."""
        return [site.name for site in self.viewed.sites]

    @cached_property
    def directions(self) -> "list[torch.Tensor | None]":
        """What the units of each layer write: (units, d)."""
        from cratelm.units.directions import unit_directions

        return [unit_directions(self.model, site.name, site.signed) for site in self.viewed.sites]
