"""Between the passes: top positions merged, random ones drawn, and what the second pass has to cut and to count."""

from pathlib import Path

import numpy as np
import torch

from cratelm.records.choose_excerpts import Chosen
from cratelm.records.config import RecordConfig
from cratelm.records.hash_sampling import draw_pool, draw_random
from cratelm.records.moments import Moments
from cratelm.records.paper.stream_windows import ANTHROPIC, OPENAI, Windows
from cratelm.records.paper.top_positions import TopPositions
from cratelm.records.recording import Step, load_state, save_state
from cratelm.records.store import KINDS

RANDOM = 50
"""Random windows of each unit and length that are kept."""


def sorted_pool_file(folder: Path, layer: int) -> Path:
    """Where each unit's activations at the pool's positions lie, sorted."""
    return folder / f"sorted-pool-{layer}"


def pool_of(windows: Windows, config: RecordConfig) -> np.ndarray:
    """The positions that all units draw from, sorted: uniform among those with a whole window."""
    return draw_pool(windows.count, config.pool, config.seed, "text", windows.length) + windows.before


class PaperPlanner(Step):
    """Reads all shards of the first pass, and writes `plan-SHARD` for each."""

    def windows(self, length: int) -> Windows:
        """The windows of one length."""
        return self.recording.halves["text"].tilings[length]  # type: ignore[return-value]

    def pool_values(self, layer: int) -> np.ndarray:
        """Every unit's activations at the pool's positions: (P, units)."""
        shards = range(len(self.recording.shards))
        return np.concatenate([load_state(self.file("first", n), f"{layer}/pool/")[""].numpy() for n in shards])

    def merged(self, layer: int) -> tuple[Moments, dict[int, TopPositions]]:
        """One site's sums and top positions over all shards, in their order."""
        units = self.recording.sites[layer].units
        moments, tops = Moments(units), {length: TopPositions(units) for length in (OPENAI, ANTHROPIC)}
        for number in range(len(self.recording.shards)):
            state = self.file("first", number)
            moments.add(load_state(state, f"{layer}/moments/"))
            for length, top in tops.items():
                top.add(load_state(state, f"{layer}/top-{length}/"))
        for top in tops.values():
            top.settle()
        return moments, tops

    def choose(self, layer: int, length: int, top: TopPositions, finite: np.ndarray) -> Chosen:
        """The top and random windows of one length; none of a unit that is not `finite` (units,)."""
        site, seed = self.recording.sites[layer], self.config.seed
        drawn = draw_random(
            pool_of(self.windows(length), self.config), site.units, RANDOM, seed, "text", site.name, length
        )
        kept = finite[top.unit]
        columns = {
            "unit": [top.unit[kept], np.repeat(np.flatnonzero(finite), drawn.shape[1])],
            "rank": [top.rank[kept], np.tile(np.arange(drawn.shape[1]), int(finite.sum()))],
            "excerpt": [top.excerpt[kept], drawn[finite].ravel()],
        }
        joined = {name: np.concatenate(parts).astype(np.int32) for name, parts in columns.items()}
        kind = np.repeat(
            np.array([KINDS.index("top"), KINDS.index("random")], np.int8), list(map(len, columns["unit"]))
        )
        return Chosen(kind=kind, **joined)

    def write(self) -> None:
        """Write all plans, and each site's sorted pool."""
        plans: dict[int, dict[str, torch.Tensor]] = {number: {} for number in range(len(self.recording.shards))}
        for layer in range(len(self.recording.sites)):
            pool = torch.from_numpy(self.pool_values(layer).T.copy()).nan_to_num_(0)
            save_state(sorted_pool_file(self.folder, layer), {"pool": pool.sort(dim=1).values})
            moments, tops = self.merged(layer)
            ends = pool_of(self.windows(ANTHROPIC), self.config) + ANTHROPIC // 2 - 1
            for number in plans:
                plans[number][f"{layer}/pool/end"] = torch.from_numpy(ends[self._within(number, ends)])
            for length, top in tops.items():
                chosen = self.choose(layer, length, top, moments.finite)
                ends_of = chosen.excerpt.astype(np.int64) + length // 2 - 1
                for number, plan in plans.items():
                    rows = np.flatnonzero(self._within(number, ends_of))
                    rows = rows[np.argsort(ends_of[rows], kind="stable")]
                    found = {"row": rows.astype(np.int32), "end": ends_of[rows], "unit": chosen.unit[rows]}
                    plan |= {f"{layer}/{length}/{name}": torch.from_numpy(column) for name, column in found.items()}
        for number, plan in plans.items():
            save_state(self.file("plan", number), plan)

    def _within(self, number: int, ends: np.ndarray) -> np.ndarray:
        """Which windows have their last token in a shard."""
        shard = self.recording.shards[number]
        contexts, order = shard.half.contexts, shard.order()
        first, last = contexts.start[order[0]], contexts.start[order[-1]] + contexts.length[order[-1]]
        return (ends >= first) & (ends < last)
