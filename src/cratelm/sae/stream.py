"""A stream of activations: the model runs once for all sites, over training windows in blocks that are mixed.

Block n is a pure function of the seed and n, so that a run that was stopped goes on with the bytes it would have had.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import PreTrainedModel

from cratelm.corpus.training_windows import Windows
from cratelm.errors import InputError, RunError
from cratelm.models.devices import device_of
from cratelm.seeds import derive_seed
from cratelm.units.sites import at_sites, require_units

TOKENS_AT_ONCE = 8192
"""Tokens in a forward pass."""

Activations = dict[str, torch.Tensor]
"""Of each site (activations, coordinates), row by row of the same tokens."""


@dataclass(frozen=True)
class ActivationStream:
    """What the sites of a model give on the train side, in blocks of whole windows."""

    model: PreTrainedModel
    sites: list[str]
    windows: Windows
    buffer: int
    """Activations in a block, rounded down to whole windows, one at least."""
    seed: int

    @cached_property
    def rows(self) -> int:
        """Windows in a block."""
        return max(1, self.buffer // self.windows.context)

    @torch.inference_mode()
    def block(self, block_index: int) -> Activations:
        """All activations of a block, in the order of its windows."""
        parts: dict[str, list[torch.Tensor]] = {site: [] for site in self.sites}
        at_once = max(1, TOKENS_AT_ONCE // self.windows.context)
        last = (block_index + 1) * self.rows

        def visit(site: str, output: torch.Tensor) -> None:
            require_units(site, output)
            parts[site].append(
                output.flatten(0, -2).float().to(device_of(self.model))
            )  # (rows, tokens, d) to (rows * tokens, d)

        with at_sites(self.model, self.sites, visit):
            for first in range(block_index * self.rows, last, at_once):
                rows = [self.windows[row]["input_ids"] for row in range(first, min(first + at_once, last))]
                self.model.base_model(input_ids=torch.stack(rows).to(device_of(self.model)), use_cache=False)
        tokens = self.rows * self.windows.context
        return {site: _joined(site, site_parts, tokens) for site, site_parts in parts.items()}

    def batches(self, block_index: int, size: int) -> Iterator[Activations]:
        """A block's activations in batches of mixed tokens; what fills no batch is left out."""
        block = self.block(block_index)
        count = min(len(activations) for activations in block.values())
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "sae mixing", block_index))
        order = torch.randperm(count, generator=generator).to(device_of(self.model))
        for first in range(0, count - size + 1, size):
            rows = order[first : first + size]
            # Cloned out of inference mode, since a gradient has to flow after them.
            yield {site: activations[rows].clone() for site, activations in block.items()}


def _joined(site: str, parts: list[torch.Tensor], tokens: int) -> torch.Tensor:
    if not parts:
        raise InputError(f"{site} gives no activations: the model never calls it. Name other modules in --sites.")
    whole = torch.cat(parts)
    if len(whole) != tokens:
        raise InputError(
            f"{site} gives {len(whole):,} activations for {tokens:,} tokens: the model calls it several times in a "
            "pass, or for some tokens alone. Name other modules in --sites."
        )
    if not torch.isfinite(whole).all():
        raise RunError(f"activations at {site} are not finite: the model is damaged. Train it again.")
    return whole
