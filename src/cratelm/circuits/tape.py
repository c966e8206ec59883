"""One text read by a frozen model, kept so that any unit on it can be taken apart."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.circuits.frozen import frozen
from cratelm.circuits.held_activations import has_gate, held_activations
from cratelm.errors import InputError
from cratelm.units.places import INPUT, block_names
from cratelm.units.signs import known_sign
from cratelm.units.sites import at_sites

LATENTS = "sae.latents"
BEFORE = {
    "coding.code": "coding.preactivation",
    "mlp.hidden": f"mlp.hidden{INPUT}",
    "mlp.act": f"mlp.act{INPUT}",
    LATENTS: "sae.preactivation",
}
"""The end of a site's name, and where what its units are before their activation is read."""

NOTHING = torch.empty(0)


def preactivation_of(model: nn.Module, site: str) -> str:
    """Where the pre-activations of a site's units are; InputError where no single number is behind a unit.

    Behind a gate it is the site itself: with the gate held, a unit is a sum.
    """
    if has_gate(model, site):
        return site
    if site.endswith(LATENTS):
        _require_fixed_scale(model, site)
    for end, before in BEFORE.items():
        place = site.removesuffix(end) + before
        if site.endswith(end) and place.removesuffix(INPUT) in {name for name, _ in model.named_modules()}:
            return place
    raise InputError(
        f"what units at {site} are before their activation is not a single sum, or is not known here. Units are taken "
        f"apart at {', '.join(BEFORE)}, and behind the gates of an MLP."
    )


def _require_fixed_scale(model: nn.Module, site: str) -> None:
    """Refuse an autoencoder that divides each token's activations by their own size or spread."""
    attached: Any = model.get_submodule(site.removesuffix(".latents"))
    scaling = getattr(attached.sae.cfg, "normalize_activations", "none")
    if scaling in ("layer_norm", "constant_norm_rescale"):
        raise InputError(
            f"the autoencoder at {site} scales each token by itself ({scaling}): that cannot be held here."
        )


@dataclass
class _Switch:
    """Whether derivatives go through attention, in the pass that is made."""

    open: bool = False


class _Switched(torch.autograd.Function):
    """What attention puts out, unchanged; its derivatives go on only while the switch is open."""

    @staticmethod
    def forward(ctx: Any, heads: torch.Tensor, switch: _Switch) -> torch.Tensor:
        ctx.set_materialize_grads(False)
        ctx.switch = switch
        return heads.view_as(heads)

    @staticmethod
    def backward(ctx: Any, *derivatives: torch.Tensor | None) -> tuple[torch.Tensor | None, None]:
        return derivatives[0] if ctx.switch.open else None, None


@dataclass(frozen=True)
class Flow:
    """Derivatives of one number by everything that it is a sum over."""

    units: dict[int, torch.Tensor]
    """By layer, (T, units); only of layers that have a part in it."""
    errors: dict[int, torch.Tensor]
    """By layer, (T, d): by what its autoencoder misses."""
    entry: torch.Tensor
    """(T, d): by what enters the first block."""
    attention: dict[int, torch.Tensor]
    """By the number of an attention, (T, heads, p): by what its heads put out."""


@dataclass
class Tape:
    """A model's forward pass on one text, T tokens with the start token.

    Units, what autoencoders miss, and what enters the first block are variables; everything between is linear in them.
    """

    sites: Sequence[str]
    signed: Sequence[bool]
    """By layer, whether unit u is the positive part of coordinate u, and unit n + u its negative part."""
    units: dict[int, torch.Tensor] = field(default_factory=dict)
    """By layer, (1, T, units): the variables."""
    before: dict[int, torch.Tensor] = field(default_factory=dict)
    """By layer, (1, T, units): pre-activations."""
    errors: dict[int, torch.Tensor] = field(default_factory=dict)
    """By layer, (1, T, d): the variables; of layers whose units are latents."""
    entry: torch.Tensor = NOTHING
    """(1, T, d): the variable."""
    embedded: torch.Tensor = NOTHING
    """(T, d): the part of it that is the tokens' own; the rest tells the position."""
    heads: dict[int, torch.Tensor] = field(default_factory=dict)
    """By the number of an attention, (1, T, heads, p): as what comes later reads them."""
    attended: dict[int, torch.Tensor] = field(default_factory=dict)
    """The same before the switch: as they are computed from what comes earlier."""
    switch: _Switch = field(default_factory=_Switch)
    """Between `attended` and `heads`."""
    at: int = 0
    """The position whose logits were computed."""
    logits: torch.Tensor = NOTHING
    """(V,): of the token after `at`."""

    @classmethod
    def of(cls, model: PreTrainedModel, sites: Sequence[str], ids: torch.Tensor, at: int = -1) -> "Tape":
        """Read ids (T,), and compute the logits of the token after position `at`, from the end if negative.

        Raises InputError for a model that cannot be frozen, sites that cannot be taken apart, or no such position.
        """
        length = len(ids)
        if not -length <= at < length:
            raise InputError(
                f"there is no position {at}: the model reads {length} tokens here, from 0 to {length - 1}."
            )
        tape = cls(
            tuple(sites),
            tuple(known_sign(model, site) is True or has_gate(model, site) for site in sites),
            at=at % length,
        )
        places = {preactivation_of(model, site): layer for layer, site in enumerate(sites)}
        layers = {site: layer for layer, site in enumerate(sites)}
        missed = {site.removesuffix("latents") + "missed": layer for site, layer in layers.items() if LATENTS in site}
        first = block_names(model)[0] + INPUT

        def visit(name: str, output: torch.Tensor) -> torch.Tensor | None:
            if name in places:
                tape.before[places[name]] = output
            if name == first:
                tape.entry = _variable(output)
                return tape.entry
            if name in missed:
                tape.errors[missed[name]] = _variable(output)
                return tape.errors[missed[name]]
            if name not in layers:
                return None
            tape.units[layers[name]] = _variable(output)
            return tape.units[layers[name]]

        def see(number: int, heads: torch.Tensor) -> torch.Tensor:
            tape.attended[number] = heads
            tape.heads[number] = cast(torch.Tensor, _Switched.apply(heads, tape.switch))
            return tape.heads[number]

        embedding = model.get_input_embeddings()
        looked_up: list[torch.Tensor] = []
        hook = embedding.register_forward_hook(lambda module, given, output: looked_up.append(output[0].detach()))
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        try:
            for weight in weights:
                weight.requires_grad_(False)  # derivatives by weights are not asked for
            with (
                torch.inference_mode(False),
                torch.enable_grad(),
                frozen(model, see),
                held_activations(model),
                at_sites(model, list(dict.fromkeys([first, *places, *layers, *missed])), visit),
            ):
                only = ids.new_tensor([tape.at])
                tape.logits = model(input_ids=ids[None], use_cache=False, logits_to_keep=only).logits[0, 0]
        finally:
            hook.remove()
            for weight in weights:
                weight.requires_grad_()
        tape.embedded = _token_part(tape.entry[0].detach(), looked_up[0])
        return tape

    def coordinate(self, layer: int, unit: int) -> tuple[int, int]:
        """The coordinate that a unit is a part of, and its sign; InputError where there is no such unit."""
        width = self.units[layer].shape[-1]
        count = width * (1 + self.signed[layer])
        if not 0 <= unit < count:
            raise InputError(f"layer {layer} has units 0 to {count - 1}: there is no unit {unit}.")
        return unit % width, 1 if unit < width else -1

    def unit(self, layer: int, coordinate: int, position: int) -> int:
        """The unit that a coordinate is at a position: of a signed site, the part that is not 0."""
        units = self.units[layer][0]
        negative = self.signed[layer] and bool(units[position, coordinate] < 0)
        return coordinate + negative * units.shape[-1]

    @contextmanager
    def through_attention(self) -> Iterator[None]:
        """While this context is open, derivatives take all paths, also those through attention."""
        self.switch.open = True
        try:
            yield
        finally:
            self.switch.open = False

    def flow(self, number: torch.Tensor, weight: torch.Tensor | None = None) -> Flow:
        """The derivatives of a number, or of some numbers that count by `weight`: along paths without attention, or
        along all of them (`through_attention`)."""
        kinds = (self.units, self.errors, self.heads)
        variables = [*(variable for kind in kinds for variable in kind.values()), self.entry]
        found = torch.autograd.grad(number, variables, weight, retain_graph=True, allow_unused=True)
        # What is not on any path has none: in CRATE, all layers but the one below.
        derivatives = iter(found)
        units, errors, heads = (
            {key: g[0] for key, g in zip(kind, derivatives, strict=False) if g is not None} for kind in kinds
        )
        entry = torch.zeros_like(self.entry[0]) if found[-1] is None else found[-1][0]
        return Flow(units, errors, entry, heads)


def _token_part(entry: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
    """What tokens themselves bring into the first block, (T, d): their embeddings, or all of it.

    Some models scale their embeddings and add no position to them.
    """
    scale = (entry * embedded).sum(-1, keepdim=True) / embedded.square().sum(-1, keepdim=True)
    return entry if torch.allclose(entry, scale * embedded, rtol=1e-4, atol=1e-6) else embedded


def _variable(value: torch.Tensor) -> torch.Tensor:
    return value.detach().requires_grad_()
