"""Between the passes: what the first one found is put together, and the second one is told which excerpts to keep."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cratelm.protocols import SHORT
from cratelm.records.config import BEST, NEAR_TOP, RecordConfig
from cratelm.records.hash_sampling import draw_pool, draw_random, mix
from cratelm.records.moments import Moments
from cratelm.records.recording import HALVES, Step, load_state, save_state
from cratelm.records.store import KINDS
from cratelm.records.tiling import Half, Tiling
from cratelm.records.top import TopExcerpts
from cratelm.stats import first_of_each, in_one, places_in_sorted

PASSAGE = 8
"""Tokens of a passage, as many as the grams that tell near-duplicates have words."""


@dataclass(frozen=True)
class Chosen:
    """Excerpts of one length that are known before the second pass, of one site and half; top ones first."""

    unit: np.ndarray
    """(rows,) int32."""
    kind: np.ndarray
    """(rows,) int8: a place in KINDS."""
    rank: np.ndarray
    """(rows,) int16."""
    excerpt: np.ndarray
    """(rows,) int32."""


def first_of_each_passage(top: TopExcerpts, tiling: Tiling) -> tuple[np.ndarray, np.ndarray]:
    """The rows of top excerpts without those that repeat the passage of a better one, and their ranks: (kept,) each.

    Documents may quote each other without being near-duplicates. A passage is the PASSAGE tokens that end at the peak;
    where a context has fewer before it, there is nothing to compare.
    """
    end = tiling.start_of(top.excerpt) + top.peak
    whole = tiling.place_of(top.excerpt) + top.peak >= PASSAGE - 1
    # 64 bits for a unit and a passage: sorting them takes a twentieth of the time of sorting rows of nine numbers, and
    # two of a unit's 50 passages agree by chance once in 10^16 units.
    passage = mix(top.unit[whole])
    for before in range(PASSAGE):
        passage = mix(passage ^ tiling.side.tokens[end[whole] - before])
    kept = np.sort(np.r_[np.flatnonzero(whole)[first_of_each(passage)], np.flatnonzero(~whole)])
    return kept, places_in_sorted(top.unit[kept])


def pool_of(half: Half, length: int, config: RecordConfig) -> np.ndarray:
    """The excerpts of one length that all units draw their random ones from."""
    return draw_pool(half.tilings[length].count, config.pool, config.seed, half.name, length)


class Planner(Step):
    """Reads all shards of the first pass, and writes `plan-SHARD` for each: what its second pass needs."""

    def moments(self, half: str, layer: int) -> Moments:
        """One site's sums over all shards of a half, in the order of the shards."""
        moments = Moments(self.recording.sites[layer].units)
        for number in self.shards_of(half):
            moments.add(load_state(self.file("first", number), f"{layer}/moments/"))
        return moments

    def top(self, half: str, layer: int, length: int) -> TopExcerpts:
        """One site's top excerpts over all shards of a half."""
        top = TopExcerpts(self.recording.sites[layer].units, NEAR_TOP)
        for number in self.shards_of(half):
            top.add(load_state(self.file("first", number), f"{layer}/top-{length}/"))
        top.settle()
        return top

    def shards_of(self, half: str) -> list[int]:
        """The numbers of a half's shards."""
        return [number for number, shard in enumerate(self.recording.shards) if shard.half.name == half]

    def choose(self, half: str, layer: int, length: int, top: TopExcerpts, finite: np.ndarray) -> Chosen:
        """The top and random excerpts of one length; none of a unit that is not `finite` (units,)."""
        site = self.recording.sites[layer]
        count = self.config.random if length != SHORT else self.config.short_random
        pool = pool_of(self.recording.halves[half], length, self.config)
        drawn = draw_random(pool, site.units, count, self.config.seed, half, site.name, length)
        kept, rank = first_of_each_passage(top, self.recording.halves[half].tilings[length])
        kept, rank = kept[rank < self.config.top], rank[rank < self.config.top]
        kept, rank = kept[finite[top.unit[kept]]], rank[finite[top.unit[kept]]]
        drawn_unit = np.repeat(np.flatnonzero(finite), drawn.shape[1])
        tops, randoms = len(kept), len(drawn_unit)
        return Chosen(
            np.r_[top.unit[kept], drawn_unit].astype(np.int32),
            np.repeat(np.array([KINDS.index("top"), KINDS.index("random")], np.int8), [tops, randoms]),
            np.r_[rank, np.tile(np.arange(drawn.shape[1]), int(finite.sum()))].astype(np.int16),
            np.r_[top.excerpt[kept], drawn[finite].ravel()].astype(np.int32),
        )

    def write(self) -> None:
        """Write all plans."""
        plans: dict[int, dict[str, torch.Tensor]] = {number: {} for number in range(len(self.recording.shards))}
        for layer in range(len(self.recording.sites)):
            from_explain: dict[str, torch.Tensor] = {}
            for name in HALVES:
                moments = self.moments(name, layer)
                tops = {length: self.top(name, layer, length) for length in self.recording.halves[name].tilings}
                if name == "explain":
                    from_explain = self._from_explain(moments, tops[SHORT])
                mine = from_explain | self._from_half(moments, tops[SHORT])
                for length, top in tops.items():
                    chosen = self.choose(name, layer, length, top, moments.finite)
                    for number, rows in self._arrivals(name, length, chosen):
                        plans[number] |= {f"{layer}/{length}/{key}": value for key, value in rows.items()}
                for number in self.shards_of(name):
                    plans[number] |= {f"{layer}/{key}": value for key, value in mine.items()}
        for number, plan in plans.items():
            save_state(self.file("plan", number), plan)

    def _from_explain(self, moments: Moments, top: TopExcerpts) -> dict[str, torch.Tensor]:
        """The interval's maximum, and each unit's top tokens: the peak tokens of its best excerpts."""
        best = (top.rank < BEST) & moments.finite[top.unit]
        tokens = self.recording.halves["explain"].tilings[SHORT].tokens_of(top.excerpt[best])
        peak = tokens[np.arange(len(tokens)), top.peak[best]].astype(np.int64)
        pairs = np.unique(peak << 32 | top.unit[best])  # sorted by token, then unit
        maximum = np.where(moments.finite, moments.maximum.numpy(), 0)
        return {
            "scale": torch.from_numpy(maximum),
            "top_token": torch.from_numpy((pairs >> 32).astype(np.int32)),
            "top_token_unit": torch.from_numpy((pairs & 0xFFFFFFFF).astype(np.int32)),
        }

    def _from_half(self, moments: Moments, top: TopExcerpts) -> dict[str, torch.Tensor]:
        """What intervals and other contexts leave out: each unit's top excerpts of this half; the bins' width."""
        near = np.full((top.units, NEAR_TOP), -1, np.int32)
        near[top.unit, top.rank] = top.excerpt
        return {
            "near_top": torch.from_numpy(near),
            "maximum": moments.maximum,
            "finite": torch.from_numpy(moments.finite),
        }

    def _arrivals(self, half: str, length: int, chosen: Chosen) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """Each shard's part of what was chosen, in the order in which its contexts come by."""
        tiling = self.recording.halves[half].tilings[length]
        context = tiling.context_of(chosen.excerpt)
        within = chosen.excerpt - tiling.first[context].astype(np.int32)
        for number in self.shards_of(half):
            order = self.recording.shards[number].order()
            place = np.full(len(tiling.first), -1, np.int32)
            place[order] = np.arange(len(order))
            rows = np.flatnonzero(place[context] >= 0)
            # Neighbours in an excerpt's place and in unit lie near each other in memory, where the second pass reads.
            rows = rows[np.argsort(in_one([place[context[rows]], within[rows], chosen.unit[rows]]))]
            columns = {"unit": chosen.unit, "kind": chosen.kind, "rank": chosen.rank, "within": within}
            found = {name: values[rows] for name, values in columns.items()} | {"place": place[context[rows]]}
            yield number, {name: torch.from_numpy(values) for name, values in found.items()}
