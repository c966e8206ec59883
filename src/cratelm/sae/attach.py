"""Autoencoders put on a model's sites, so that their latents pass through a module: a site like any other.

At `SITE` a module `SITE.sae` encodes what the site gives; the latents pass through `SITE.sae.latents`, where they are
read and clamped as any units are, and go back into the model: at the same site, or, as a transcoder writes, at another.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.errors import InputError
from cratelm.units.hook_points import site_of_hook
from cratelm.units.places import INPUT
from cratelm.units.sites import Visit, hook_site

CENTRING = "center_writing_weights"
"""The setting of TransformerLens under which whatever is added to the hidden states has mean zero."""
CENTRED = ("hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out")
"""The hook points that it changes."""


class AttachedSae(nn.Module):
    """An autoencoder or a transcoder behind a site; not a part of the model's weights."""

    def __init__(self, sae: Any, substitute: bool, centred: bool = False):
        super().__init__()
        self.preactivation, self.latents, self.missed = nn.Identity(), nn.Identity(), nn.Identity()
        self.substitute, self.centred = substitute, centred
        if getattr(sae, "hook_z_reshaping_mode", False):
            sae.turn_off_forward_pass_hook_z_reshaping()  # here, heads lie side by side
        self._sae = (sae,)  # in a tuple: its weights are none of the model's
        sae.hook_sae_acts_pre.register_forward_hook(lambda module, given, output: self.preactivation(output))
        self._read: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    @property
    def sae(self) -> Any:
        """SAELens's own."""
        return self._sae[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, d) to (B, T, d): the reconstruction alone, or with what it misses of x.

        With what it misses, x comes out as it went in to the bit, until somebody clamps a latent.
        """
        self.read(x)
        return self.write(x)

    def read(self, x: torch.Tensor) -> None:
        """Encode (B, T, d), and keep the latents until they are written."""
        encoded = self.sae.encode(self._encodable(x))  # (B, T, latents)
        self._read[:] = [(x, encoded, self.latents(encoded))]

    def write(self, y: torch.Tensor) -> torch.Tensor:
        """What takes the place of y, (B, T, d), where the autoencoder writes."""
        x, encoded, latents = self._read.pop()
        if self.substitute:
            return self._decoded(x, latents).to(y)
        if latents is encoded:
            return y
        return self.missed(y - self._decoded(x, encoded).to(y)) + self._decoded(x, latents).to(y)

    def _encodable(self, x: torch.Tensor) -> torch.Tensor:
        """x as the autoencoder was trained on it, in the type of its weights."""
        return (x - x.mean(-1, keepdim=True) if self.centred else x).to(self.sae.W_dec)

    def _decoded(self, x: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The reconstruction, and what else goes past the latents: a skip, or the mean that was taken off."""
        if getattr(self.sae.cfg, "normalize_activations", "none") != "none":
            self.sae.encode(self._encodable(x))  # decoding undoes, once, the scale that the last encoding took
        decoded = self.sae.decode(latents)
        if hasattr(self.sae, "W_skip"):
            decoded = decoded + self._encodable(x) @ self.sae.W_skip.T
        return decoded + x.mean(-1, keepdim=True).to(decoded) if self.centred else decoded


def attach_saes(model: PreTrainedModel, saes: Mapping[str, Any], substitute: bool = False) -> None:
    """Put an autoencoder on each of the named sites, for good.

    With `substitute` its reconstruction takes the place of the site's output, or of what a transcoder stands for;
    otherwise the error that it makes is added again, and only what is done to the latents changes the model.
    """
    for site, sae in saes.items():
        attached = AttachedSae(sae, substitute, is_centred(model, sae))
        target = site_written(model, sae)
        model.get_submodule(site.removesuffix(INPUT)).add_module("sae", attached)
        hook_site(model, site, _visit(attached.read if target else attached, sae.cfg.d_in))
        if target:
            hook_site(model, target, _visit(attached.write, sae.cfg.d_out))


def site_written(model: nn.Module, sae: Any) -> str | None:
    """Where a transcoder writes; None for an autoencoder, which writes where it reads."""
    return site_of_hook(model, str(sae.cfg.metadata.hook_name_out)) if hasattr(sae.cfg, "d_out") else None


def is_centred(model: nn.Module, sae: Any) -> bool:
    """Whether an autoencoder was made for hidden states without their mean, which a model with layer norms ignores."""
    told = getattr(sae.cfg, "metadata", None) or {}
    if not (told.get("model_from_pretrained_kwargs") or {}).get(CENTRING):
        return False
    layer_norms = any(isinstance(module, nn.LayerNorm) for module in model.modules())
    return layer_norms and str(told.get("hook_name")).endswith(CENTRED)


def attached_saes(model: nn.Module) -> list[AttachedSae]:
    """The autoencoders on a model."""
    return [module for module in model.modules() if isinstance(module, AttachedSae)]


def require_context(model: nn.Module, context: int, start: bool) -> None:
    """Refuse to read more tokens at once than the autoencoders on a model were trained on, or from another start.

    `start` says whether a start token comes before every context. Raises InputError; settings that an autoencoder does
    not tell are not asked for.
    """
    for attached in attached_saes(model):
        told = getattr(attached.sae.cfg, "metadata", None) or {}
        longest, begins = told.get("context_size"), told.get("prepend_bos")
        if longest is not None and context > longest:
            raise InputError(
                f"the autoencoder on {told.get('hook_name')} was trained on {longest} tokens at once, and the model "
                f"would read {context}. Give --records.context {longest}."
            )
        if begins is not None and bool(begins) != start:
            having, putting = ("with", "none") if begins else ("without", "one")
            raise InputError(
                f"the autoencoder on {told.get('hook_name')} was trained on contexts {having} a start token, and this "
                f"protocol puts {putting} before them. Give --records.protocol {'strict' if begins else 'paper'}."
            )


def _visit(attached: Any, coordinates: int) -> Visit:
    def visit(site: str, activations: torch.Tensor) -> torch.Tensor | None:
        if activations.shape[-1] != coordinates:
            raise InputError(
                f"the autoencoder reads or writes {coordinates} coordinates, {site} gives {activations.shape[-1]}: it "
                "was made for another model or site."
            )
        return attached(activations)

    return visit
