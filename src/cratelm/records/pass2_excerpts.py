"""The second pass over a shard: the chosen excerpts' activations, and what could only be chosen after the first."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from cratelm.corpus.contexts import context_tokens
from cratelm.protocols import SHORT
from cratelm.records.choose_excerpts import pool_of
from cratelm.records.config import BEST, INTERVALS, RecordConfig
from cratelm.records.hash_sampling import priorities
from cratelm.records.pass1_statistics import tile
from cratelm.records.recording import Pass, Site, load_state, save_state
from cratelm.records.reservoir import LowestPriorities
from cratelm.records.tiling import Half
from cratelm.seeds import derive_seed

AT_ONCE = 2**18
"""Activations whose intervals, or places in the histogram, are in memory at once: they stay in a processor's cache."""


class SecondStatistics:
    """What the second pass gathers at one site, with what the plan says of it."""

    def __init__(
        self,
        config: RecordConfig,
        site: Site,
        half: Half,
        plan: Mapping[str, torch.Tensor],
        pool: np.ndarray,
        vocabulary: int,
    ):
        self.config, self.half, self.units, self.pool = config, half, site.units, pool
        self.plan = {name: value.numpy() for name, value in plan.items()}
        self.seed = derive_seed(config.seed, "priorities", half.name)
        unit_seed = derive_seed(config.seed, "rotations", half.name, site.name)
        self.rotation = priorities(np.arange(site.units), unit_seed)
        self.intervals = LowestPriorities(site.units * INTERVALS, config.interval, SHORT)
        self.other = LowestPriorities(site.units, config.other, SHORT)
        self.histogram = np.zeros((site.units, config.histogram), dtype=np.int64)
        self.token_units = np.searchsorted(self.plan["top_token"], np.arange(vocabulary + 1))

    def see(
        self,
        batch: np.ndarray,
        first_place: int,
        tokens: np.ndarray,
        activations: torch.Tensor,
        spills: Mapping[int, BinaryIO],
    ) -> None:
        """See a batch whose first context is the shard's `first_place`: activations (contexts, T, units)."""
        for length, spill in spills.items():
            spill.write(self._chosen(length, first_place, activations).tobytes())
        self._see_histogram(batch, activations)
        blocks = tile(activations, SHORT)  # (contexts, excerpts, 9, units)
        count = blocks.shape[1]
        excerpt = (self.half.tilings[SHORT].first[batch, None] + np.arange(count)).ravel()
        priority = priorities(excerpt, self.seed)
        self._see_intervals(blocks, excerpt, priority)
        held = tokens[:, : count * SHORT].reshape(-1, SHORT)  # (contexts * excerpts, 9)
        self._see_other(blocks, excerpt, priority, held)

    def _chosen(self, length: int, first_place: int, activations: torch.Tensor) -> np.ndarray:
        """The activations of the batch's chosen excerpts, in the plan's order: (rows, length)."""
        place, within, unit = (self.plan[f"{length}/{name}"] for name in ("place", "within", "unit"))
        rows = slice(*np.searchsorted(place, [first_place, first_place + len(activations)]))
        return _take(tile(activations, length), place[rows] - first_place, within[rows], unit[rows])

    def _see_intervals(self, blocks: torch.Tensor, excerpt: np.ndarray, priority: np.ndarray) -> None:
        """Every excerpt belongs to one interval of each unit that fires in it."""
        maxima = blocks.amax(2).flatten(0, 1)  # (excerpts, units)
        size = max(1, AT_ONCE // self.units)
        for first in range(0, len(maxima), size):
            some = slice(first, first + size)
            row, group, rotated = self._in_intervals(maxima[some], priority[some])
            row, unit = row + first, group // INTERVALS
            outside = (self.plan["near_top"][unit, :BEST] != excerpt[row, None]).all(1)
            row, unit, group, rotated = row[outside], unit[outside], group[outside], rotated[outside]
            if len(row):
                found = _take(blocks, *np.divmod(row, blocks.shape[1]), unit)
                self.intervals.update(group, rotated, excerpt[row], found)

    def _in_intervals(self, maxima: torch.Tensor, priority: np.ndarray) -> list[np.ndarray]:
        """Those of some excerpts, maxima (excerpts, units), that may be kept: row, unit and interval, priority."""
        device = maxima.device
        scale = torch.from_numpy(self.plan["scale"]).to(device).double()
        # In float64 the quotient is on the right side of every whole number. Rounded up, it is a number from 1.
        interval = maxima.double().mul_(INTERVALS).div_(scale).ceil_().clamp_(1, INTERVALS).nan_to_num_(1)
        first = torch.arange(self.units, dtype=torch.int32, device=device) * INTERVALS
        group = interval.int().add_(first - 1)
        limit = torch.from_numpy(self.intervals.threshold).to(device).index_select(0, group.flatten())
        rotated = torch.from_numpy(priority).to(device)[:, None] + torch.from_numpy(self.rotation).to(device)
        row, unit = ((maxima > 0) & (rotated <= limit.view(group.shape))).nonzero(as_tuple=True)
        known = scale[unit] > 0
        row, unit = row[known], unit[known]
        return [found.cpu().numpy() for found in (row, group[row, unit], rotated[row, unit])]

    def _see_other(self, blocks: torch.Tensor, excerpt: np.ndarray, priority: np.ndarray, tokens: np.ndarray) -> None:
        """Every place of a token is a place of those units that have it among their top tokens."""
        flat = tokens.ravel()
        first, last = self.token_units[flat], self.token_units[flat + 1]
        counts = last - first
        place = np.repeat(np.arange(len(flat), dtype=np.int32), counts)
        within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        unit = self.plan["top_token_unit"][np.repeat(first, counts) + within]
        row = place // SHORT
        rotated = priority[row] + self.rotation[unit]
        kept = np.flatnonzero(rotated <= self.other.threshold[unit])
        row, unit, rotated = row[kept], unit[kept], rotated[kept]
        outside = (self.plan["near_top"][unit] != excerpt[row, None]).all(1)
        row, unit, rotated = row[outside], unit[outside], rotated[outside]
        if len(row):
            found = _take(blocks, *np.divmod(row, blocks.shape[1]), unit)
            self.other.update(unit, rotated, excerpt[row], found)

    def _see_histogram(self, batch: np.ndarray, activations: torch.Tensor) -> None:
        blocks = tile(activations, self.half.long)
        excerpt = self.half.tilings[self.half.long].first[batch, None] + np.arange(blocks.shape[1])
        context, within = np.nonzero(np.isin(excerpt, self.pool))
        if not len(context):
            return
        device, bins, units = activations.device, self.config.histogram, self.units
        maximum, whole = torch.from_numpy(self.plan["maximum"]).to(device), bool(self.plan["finite"].all())
        first = torch.arange(units, dtype=torch.int32, device=device) * (bins + 1)
        counts = torch.zeros(units * (bins + 1), dtype=torch.int64, device=device)
        at = torch.from_numpy(np.stack([context, within])).to(device)
        for context_at, within_at in at.split(max(1, AT_ONCE // (self.half.long * units)), dim=1):
            values = blocks[context_at, within_at].flatten(0, 1)  # (tokens, units)
            # A unit's first cell takes what did not fire, and so is not counted.
            cell = torch.threshold_(values, 0, -math.inf).div_(maximum).mul_(bins).clamp_(-1, bins - 1)
            cell = cell if whole else cell.nan_to_num_(-1)
            counts += torch.bincount(cell.int().add_(first + 1).flatten(), minlength=len(counts))
        counted = counts.view(units, bins + 1)[:, 1:].cpu().numpy()
        self.histogram += np.where(self.plan["finite"][:, None], counted, 0)

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, by name."""
        named = {f"interval/{name}": value for name, value in self.intervals.state().items()}
        named |= {f"other/{name}": value for name, value in self.other.state().items()}
        return named | {"histogram": torch.from_numpy(self.histogram)}


def _take(blocks: torch.Tensor, context: np.ndarray, within: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Rows of excerpts: blocks (contexts, excerpts, tokens, units) at (rows,) each, (rows, tokens)."""
    at = (torch.from_numpy(index.astype(np.int64)).to(blocks.device) for index in (context, within, unit))
    context_at, within_at, unit_at = at
    return blocks[context_at, within_at, :, unit_at].cpu().numpy()


class SecondPass(Pass):
    """Writes `second-SHARD`, all sites' late choices, and each site's `spill-LENGTH-SHARD-LAYER`."""

    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""
        return self.file("second", number)

    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""
        if self.result(number).is_file():
            return
        recording = self.recording
        shard = recording.shards[number]
        half = shard.half
        pool = pool_of(half, half.long, self.config)
        plan = self.file("plan", number)
        sites = [
            SecondStatistics(self.config, site, half, load_state(plan, f"{layer}/"), pool, recording.vocabulary)
            for layer, site in enumerate(recording.sites)
        ]
        spills = [
            {length: self.file(f"spill-{length}", number, layer).open("wb") for length in half.tilings}
            for layer in range(len(sites))
        ]
        place = 0

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            nonlocal place
            tokens = context_tokens(half.side, half.contexts, batch)
            sites[layer].see(batch, place, tokens, activations, spills[layer])
            if layer == len(sites) - 1:
                place += len(batch)

        recording.run(shard, see, self.advance(number))
        for file in (file for of_layer in spills for file in of_layer.values()):
            file.close()
        states = [site.state() for site in sites]
        save_state(
            self.result(number),
            {f"{layer}/{name}": value for layer, state in enumerate(states) for name, value in state.items()},
        )
