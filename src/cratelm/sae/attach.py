"""Autoencoders put on a model's sites, so that their latents pass through a module: a site like any other.

At `SITE` a module `SITE.sae` encodes what the site gives; the latents pass through `SITE.sae.latents`, where they are
read and clamped as any units are, and go back into the model.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.errors import InputError
from cratelm.units.places import INPUT
from cratelm.units.sites import Visit, hook_site


class AttachedSae(nn.Module):
    """An autoencoder behind a site; not a part of the model's weights."""

    def __init__(self, sae: Any, substitute: bool):
        super().__init__()
        self.latents = nn.Identity()
        self.substitute = substitute
        self._sae = (sae,)  # in a tuple: its weights are none of the model's

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, d) to (B, T, d): the reconstruction alone, or with what it misses of x.

        With what it misses, x comes out as it went in to the bit, until somebody clamps a latent.
        """
        (sae,) = self._sae
        encoded = sae.encode(x.to(sae.W_dec))  # (B, T, latents)
        latents = self.latents(encoded)
        if self.substitute:
            return sae.decode(latents).to(x)
        return x if latents is encoded else x + (sae.decode(latents) - sae.decode(encoded)).to(x)


def attach_saes(model: PreTrainedModel, saes: Mapping[str, Any], substitute: bool = False) -> None:
    """Put an autoencoder on each of the named sites, for good.

    With `substitute` its reconstruction takes the place of the site's output; otherwise the error that it makes is
    added again, and only what is done to the latents changes the model.
    """
    for site, sae in saes.items():
        attached = AttachedSae(sae, substitute)
        model.get_submodule(site.removesuffix(INPUT)).add_module("sae", attached)
        hook_site(model, site, _through(attached, sae.cfg.d_in))


def _through(attached: AttachedSae, coordinates: int) -> Visit:
    def visit(site: str, activations: torch.Tensor) -> torch.Tensor:
        if activations.shape[-1] != coordinates:
            raise InputError(
                f"the autoencoder reads {coordinates} coordinates, {site} gives {activations.shape[-1]}: it was made "
                "for another model or site."
            )
        return attached(activations)

    return visit
