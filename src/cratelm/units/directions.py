"""What a unit writes: the direction that one activation adds to the model's hidden states.

The hidden states are what a block of the model puts out, such as `model.layers.3`. Between a site and the end of its
block lie a projection, a dictionary, an autoencoder's decoder, or nothing; the model itself is asked which. The site's
output is replaced by random numbers, and the derivative of the block's output by them is taken. Where it is the same
for all numbers and texts, and of the unit's own token alone, its rows are the directions.
"""

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
    parts write the opposite.
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
            if slope.abs().max() > 1e-5 * own.abs().max():  # other tokens', as behind attention
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
    seen: dict[str, list[torch.Tensor]] = {site: [], block: []}

    def visit(name: str, output: torch.Tensor) -> torch.Tensor | None:
        seen[name].append(_random_like(output) if name == site else output.clone())
        # Copies, since some models add to an output in place.
        return seen[name][-1].clone() if name == site else None

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.get_text_config().vocab_size, (ROWS, TOKENS), generator=generator)
    cut = [name for name in _norms(model, block) if not f"{site.removesuffix(INPUT)}.".startswith(f"{name}.")]
    with at_sites(model, cut, lambda _, output: output.detach()), at_sites(model, list(seen), visit):
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
