"""The models of a study, loaded when somebody first asks for what only they can say."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.errors import InputError
from cratelm.sae.open import open_with_latents
from cratelm.units.directions import unit_directions
from cratelm.viewer.study import ViewedModel

NETWORKS_KEPT = 3


@dataclass(frozen=True)
class Network:
    """A model in memory."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    viewed: ViewedModel

    @cached_property
    def site_names(self) -> list[str]:
        """The recorded sites, by layer."""
        return [site.name for site in self.viewed.sites]

    @cached_property
    def directions(self) -> list[torch.Tensor | None]:
        """What the units of each layer write: (units, d)."""
        return [unit_directions(self.model, site.name, site.signed) for site in self.viewed.sites]


class Networks:
    """The models last asked for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Network] = OrderedDict()
        self._lock = Lock()

    def open(self, viewed: ViewedModel) -> Network:
        """A model of the study; raises InputError where it is damaged or gone."""
        with self._lock:
            if viewed.name not in self._kept:
                self._kept[viewed.name] = _loaded(viewed)
                if len(self._kept) > NETWORKS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(viewed.name)
            return self._kept[viewed.name]


def _loaded(viewed: ViewedModel) -> Network:
    folder = viewed.folder / "models" / viewed.name
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: what needs the model itself is not shown.")
    return Network(*open_with_latents(folder, False), viewed)
