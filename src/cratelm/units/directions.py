"""What a unit writes: the direction that one activation adds to the model's hidden states.

The hidden states are what a block of the model puts out, such as `model.layers.3`. Between a site and the end of its
block lie a projection, a dictionary, an autoencoder's decoder, or nothing; the model itself is asked which. The site's
output is replaced by random numbers, and the derivative of the block's output by them is taken. Where it is the same
for all numbers and texts, and of the unit's own token alone, its rows are the directions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from cratelm.units.places import INPUT
from cratelm.units.sites import at_sites

ROWS, TOKENS = 4, 4
"""Texts that a derivative is compared on, and their tokens."""
COORDINATES_AT_ONCE = 64
"""Coordinates of the hidden states that are differentiated together."""


def unit_directions(model: PreTrainedModel, site: str, signed: bool = False) -> torch.Tensor | None:
    """A direction a unit, (units, d); None where a unit writes no direction that is fixed.

    For a code these are the dictionary's atoms, for a hidden layer the columns of the projection after it, for latents
    the decoder's rows, taken on through what the site itself enters. What writes into the hidden states as it is, such
    as an attention's output, has unit vectors. There is none under a gate, which scales the direction by the token, nor
    before a norm or a nonlinearity. What later parts of the block make of it is left out. Of a signed site, negative
    parts write the opposite. Behind a norm on what attention or the MLP puts out (Gemma 2 and 3, OLMo 2), the direction
    is what the norm multiplies it to; the token sets what the norm divides by.
    """
    block = _block_of(model, site)
    if block is None:
        return None
    with torch.inference_mode(False), torch.enable_grad():
        trace = _trace(model, site, block)
        if trace is None or not trace.is_fixed():
            return None
        found = trace.directions()
    return torch.cat([found, -found]) if signed else found


def _block_of(model: nn.Module, site: str) -> str | None:
    """The block that a site lies in: the first element of a list of modules on its path."""
    parts = site.removesuffix(INPUT).split(".")
    for end in range(1, len(parts)):
        if isinstance(model.get_submodule(".".join(parts[:end])), nn.ModuleList):
            return ".".join(parts[: end + 1])
    return None


@dataclass(frozen=True)
class Trace:
    """One forward pass in which a site's output was replaced."""

    given: torch.Tensor
    """(ROWS, TOKENS, units): the numbers in its place."""
    hidden: torch.Tensor
    """(ROWS, TOKENS, d): what the block put out."""

    def is_fixed(self) -> bool:
        """Whether a token's hidden state depends on its own numbers, in the same way at different tokens."""
        if not self.hidden.requires_grad:
            return False
        mixed = torch.randn(self.hidden.shape[-1], generator=torch.Generator().manual_seed(1)).to(self.hidden)
        found = []
        for row in range(ROWS):
            # Another token in each row, so that what holds at all of them does not depend on the place.
            place = (row, TOKENS - 1 - row)
            mixture = self.hidden[place] @ mixed
            (slope,) = torch.autograd.grad(mixture, self.given, retain_graph=True, allow_unused=True)
            if slope is None:
                return False
            own = slope[place].clone()
            slope[place] = 0
            if slope.abs().max() > 1e-5 * own.abs().max():  # other tokens', as after attention
                return False
            found.append(own)
        size = found[0].abs().max()
        return bool(size > 0) and all(bool(((own - found[0]).abs() < 1e-4 * size).all()) for own in found)

    def directions(self) -> torch.Tensor:
        """The derivative at one token: (units, d)."""
        width, rows = self.hidden.shape[-1], []
        for some in torch.eye(width, device=self.hidden.device, dtype=self.hidden.dtype).split(COORDINATES_AT_ONCE):
            (slopes,) = torch.autograd.grad(
                self.hidden[0, -1], self.given, some, retain_graph=True, is_grads_batched=True
            )  # (some, ROWS, TOKENS, units)
            rows.append(slopes[:, 0, -1])
        return torch.cat(rows).T.contiguous()


def _trace(model: PreTrainedModel, site: str, block: str) -> Trace | None:
    """A forward pass; None where the site or the block is not called once, or gives something else than tokens."""
    around = site.removesuffix(INPUT)
    norms = [name for name in _norms(model, block) if not f"{around}.".startswith(f"{name}.")]
    scales = {name: scale for name in norms if (scale := _scale_behind(model, name, block, norms)) is not None}
    return _traced(model, site, block, [name for name in norms if name not in scales], scales)


def _traced(
    model: PreTrainedModel, site: str, block: str, cut: Sequence[str], scales: Mapping[str, torch.Tensor]
) -> Trace | None:
    """The same, where derivatives end at the norms to cut, and others multiply by their scales alone."""
    seen: dict[str, list[torch.Tensor]] = {site: [], block: []}

    def visit(name: str, output: torch.Tensor) -> torch.Tensor | None:
        seen[name].append(_random_like(output) if name == site else output.clone())
        # Copies, since some models add to an output in place.
        return seen[name][-1].clone() if name == site else None

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.get_text_config().vocab_size, (ROWS, TOKENS), generator=generator)
    with (
        _multiplying(model, scales),
        at_sites(model, cut, lambda _, output: output.detach()),
        at_sites(model, list(seen), visit),
    ):
        model.base_model(input_ids=ids.to(model.device), use_cache=False)
    if any(len(outputs) != 1 for outputs in seen.values()):
        return None
    given, hidden = seen[site][0], seen[block][0]
    fits = all(output.ndim == 3 and output.shape[:2] == (ROWS, TOKENS) for output in (given, hidden))
    return Trace(given, hidden) if fits else None


def _norms(model: nn.Module, block: str) -> list[str]:
    """The norms in a block. A derivative ends there: what a norm makes of a direction depends on the token."""
    inside = model.get_submodule(block).named_modules(prefix=block)
    return [name for name, module in inside if "norm" in type(module).__name__.lower()]


def _scale_behind(model: PreTrainedModel, norm: str, block: str, norms: Sequence[str]) -> torch.Tensor | None:
    """What a norm multiplies by, (d,), where its output goes into the hidden states as it is; None for any other.

    Gemma 2 and 3 and OLMo 2 have such norms after attention and MLP.
    """
    scale = norm_scale(model.get_submodule(norm), model)
    if scale is None:
        return None
    trace = _traced(model, norm, block, [name for name in norms if name != norm], {})
    return scale if trace is not None and trace.is_fixed() else None


@torch.no_grad()
def norm_scale(norm: nn.Module, model: PreTrainedModel) -> torch.Tensor | None:
    """The scale of a norm that divides by the root mean square and does nothing else but multiply, else None."""
    weight = next(norm.parameters(), None)
    if weight is None or weight.shape != (model.config.get_text_config().hidden_size,):
        return None
    probes = 1000 * torch.randn(4, len(weight), generator=torch.Generator().manual_seed(3)).to(weight)
    output = norm(probes) * probes.square().mean(-1, keepdim=True).sqrt()
    scale = output[0] / probes[0]
    fits = torch.allclose(output, scale * probes, rtol=1e-2, atol=1e-3 * float(output.abs().max()))
    return scale if fits else None


@contextmanager
def _multiplying(model: nn.Module, scales: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """While this context is open, the norms multiply by their scales and do not divide."""
    with ExitStack() as hooks:
        for name, scale in scales.items():
            hook = model.get_submodule(name).register_forward_hook(
                lambda module, given, output, scale=scale: given[0] * scale
            )
            hooks.callback(hook.remove)
        yield


def _random_like(output: torch.Tensor) -> torch.Tensor:
    """Numbers of both signs as large as an output's, so that no nonlinearity after it looks like a linear map."""
    generator = torch.Generator().manual_seed(2)
    # Drawn on the processor: a GPU of another kind would draw other numbers.
    drawn = torch.randn(output.shape, generator=generator).to(output)
    return (drawn * (output.detach().std() + 1e-3)).requires_grad_()


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
