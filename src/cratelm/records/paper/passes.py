"""The two passes over a shard of rows."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from cratelm.records.moments import Moments
from cratelm.records.paper.choose_windows import pool_of, sorted_pool_file
from cratelm.records.paper.stream_windows import ANTHROPIC, OPENAI
from cratelm.records.paper.top_positions import TopPositions
from cratelm.records.recording import Pass, load_state, save_state
from cratelm.records.tiling import Half, Shard

COUNTED = 512
"""Tokens whose ranks are counted at once."""


class PaperFirstPass(Pass):
    """Writes `first-SHARD`: sums, top positions, and every unit's activations at the pool's positions."""

    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""
        return self.file("first", number)

    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""
        if self.result(number).is_file():
            return
        recording = self.recording
        shard = recording.shards[number]
        half, device = shard.half, recording.counting_device
        pool = pool_of(half.tilings[ANTHROPIC], self.config)
        moments = [Moments(site.units, device) for site in recording.sites]
        tops = [{length: TopPositions(site.units) for length in (OPENAI, ANTHROPIC)} for site in recording.sites]
        pooled: list[list[torch.Tensor]] = [[] for _ in recording.sites]

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            first, flat = int(half.contexts.start[batch[0]]), activations.flatten(0, 1)  # (tokens, units)
            moments[layer].update(activations)
            for length, top in tops[layer].items():
                top.see(flat, first, half.tilings[length])  # type: ignore[arg-type]
            mine = pool[(pool >= first) & (pool < first + len(flat))] - first
            pooled[layer].append(flat[torch.from_numpy(mine).to(flat.device)].cpu())

        recording.run(shard, see, self.advance(number))
        state = {f"{layer}/pool/": torch.cat(values) for layer, values in enumerate(pooled)}
        for layer, (sums, of_length) in enumerate(zip(moments, tops, strict=True)):
            state |= {f"{layer}/moments/{name}": value for name, value in sums.state().items()}
            for length, top in of_length.items():
                state |= {f"{layer}/top-{length}/{name}": value for name, value in top.state().items()}
        save_state(self.result(number), state)


class RankCounts:
    """How many activations lie between the neighbours of each unit's sorted pool: exact ranks for all of the pool."""

    def __init__(self, pool: torch.Tensor, device: torch.device):
        """`pool` (units, P), sorted."""
        self.pool = pool.to(device)
        units, size = pool.shape
        self.counts = torch.zeros(units * (size + 1), dtype=torch.int32, device=device)
        self._first = torch.arange(units, device=device)[:, None] * (size + 1)

    def see(self, activations: torch.Tensor) -> None:
        """See activations (tokens, units)."""
        for block in activations.split(COUNTED):
            below = torch.searchsorted(self.pool, block.T.contiguous())  # (units, tokens): how many of the pool
            below += self._first
            self.counts += torch.bincount(below.flatten(), minlength=len(self.counts)).int()


class PaperSecondPass(Pass):
    """Writes `second-SHARD`, the pool's ranks, and windows: the chosen in `spill-…`, the pool's in `pool-…`.

    A window may begin in the batch before: the last tokens of each are carried over, and before a shard the last batch
    of the shard before it is computed again, as it was there.
    """

    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""
        return self.file("second", number)

    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""
        if self.result(number).is_file():
            return
        recording, device = self.recording, self.recording.counting_device
        shard = recording.shards[number]
        sites = [
            _Site(self, number, layer, shard.half, device, RankCounts(self._pool(layer), device))
            for layer in range(len(recording.sites))
        ]

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            sites[layer].see(int(shard.half.contexts.start[batch[0]]), activations.flatten(0, 1))

        def carry(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            sites[layer].carry(activations.flatten(0, 1))

        if number:
            before = Shard(shard.half, recording.shards[number - 1].batches[-1:])
            recording.run(before, carry, _nothing)
        recording.run(shard, see, self.advance(number))
        for site in sites:
            site.close()
        save_state(self.result(number), {f"{layer}/": site.ranks.counts.cpu() for layer, site in enumerate(sites)})

    def _pool(self, layer: int) -> torch.Tensor:
        return load_state(sorted_pool_file(self.folder, layer), "")["pool"]


def _nothing() -> None:
    """The batch before a shard is no progress."""


class _Site:
    """What the second pass gathers at one site of one shard."""

    def __init__(self, step: PaperSecondPass, number: int, layer: int, half: Half, device, ranks: RankCounts):
        self.half, self.ranks = half, ranks
        self.carried: torch.Tensor | None = None
        plan = {name: value.numpy() for name, value in load_state(step.file("plan", number), f"{layer}/").items()}
        self.chosen = {length: (plan[f"{length}/end"], plan[f"{length}/unit"]) for length in (OPENAI, ANTHROPIC)}
        self.pool_end = plan["pool/end"]
        self.spills: dict[int, BinaryIO] = {
            length: step.file(f"spill-{length}", number, layer).open("wb") for length in (OPENAI, ANTHROPIC)
        }
        self.pool_spill = step.file("pool", number, layer).open("wb")

    def see(self, first: int, flat: torch.Tensor) -> None:
        """See the positions from `first` on, (tokens, units): windows whose last token is here are whole."""
        counted = self.half.tilings[ANTHROPIC].limit - first  # type: ignore[missing-attribute]
        if counted > 0:
            self.ranks.see(flat[:counted])
        for length, (end, unit) in self.chosen.items():
            rows = slice(*np.searchsorted(end, [first, first + len(flat)]))
            self.spills[length].write(self._cut(flat, end[rows] - first, length, unit[rows]).tobytes())
        mine = self.pool_end[slice(*np.searchsorted(self.pool_end, [first, first + len(flat)]))]
        self.pool_spill.write(self._cut(flat, mine - first, ANTHROPIC, None).tobytes())
        self.carry(flat)

    def carry(self, flat: torch.Tensor) -> None:
        """Keep the last tokens for windows that begin among them."""
        self.carried = flat[-OPENAI + 1 :].clone()

    def _cut(self, flat: torch.Tensor, end: np.ndarray, length: int, unit: np.ndarray | None) -> np.ndarray:
        """The windows that end at places (rows,): of a unit each, (rows, length), or of all, (rows, length, units)."""
        place = torch.from_numpy(end[:, None] + np.arange(1 - length, 1)).to(flat.device)  # (rows, length)
        at = None if unit is None else torch.from_numpy(unit.astype(np.int64)).to(flat.device)[:, None]

        def take(source: torch.Tensor, places: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return source[places] if at is None else source[places, at[rows]]

        inside = place[:, 0] >= 0
        found = torch.empty(place.shape if at is not None else (*place.shape, flat.shape[1]), device=flat.device)
        found[inside] = take(flat, place[inside], inside)
        if not inside.all():
            assert self.carried is not None
            border = torch.cat([self.carried, flat[: OPENAI - 1]])
            found[~inside] = take(border, place[~inside] + len(self.carried), ~inside)
        return found.cpu().numpy()

    def close(self) -> None:
        """Close the files."""
        for file in (*self.spills.values(), self.pool_spill):
            file.close()
