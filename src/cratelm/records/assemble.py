"""After the passes: each site's excerpts, statistics and token tables out of the shards, one site at a time."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from cratelm.records.config import INTERVALS, SHORT
from cratelm.records.first_pass import TableFile, table_sample
from cratelm.records.lowest import LowestPriorities
from cratelm.records.moments import Moments
from cratelm.records.plan import KINDS, Planner
from cratelm.records.recording import HALVES, load_state
from cratelm.records.store import Block, table_name, write_excerpts, write_tables, write_units

ROWS_OF_A_TABLE = 4096


class Assembler(Planner):
    """Writes the store's files into `out`."""

    def write_store(self, out: Path) -> list[int]:
        """Write all sites' files; gives each site's number of units that are not finite in a half."""
        statistics: list[dict[str, dict[str, np.ndarray]]] = []
        for layer in range(len(self.recording.sites)):
            statistics.append(self._write_excerpts(out / f"layer-{layer}.parquet", layer))
            for half in HALVES:
                self._write_table(out / table_name(layer, half), half, layer)
        write_units(out / "units.parquet", statistics)
        return [int((~(of["explain"]["finite"] & of["score"]["finite"])).sum()) for of in statistics]

    def _write_excerpts(self, path: Path, layer: int) -> dict[str, dict[str, np.ndarray]]:
        """Write a site's excerpts; gives each half's statistics of it."""
        blocks: list[Block] = []
        of_half: dict[str, dict[str, np.ndarray]] = {}
        for name in HALVES:
            moments, tops = self.merged(name, layer)
            blocks += [self._known(name, layer, length, top, moments) for length, top in tops.items()]
            late, histogram = self._late(name, layer, moments)
            blocks += late
            of_half[name] = moments.statistics() | {"histogram": histogram}
        write_excerpts(path, blocks)
        return of_half

    def _known(self, half: str, layer: int, length: int, top, moments: Moments) -> Block:
        """The excerpts that the plan named, with the activations that the shards spilled."""
        chosen = self.choose(half, layer, length, top, moments.finite)
        activations = np.empty((len(chosen.unit), length), np.float32)
        for number in self.shards_of(half):
            rows = load_state(self.file("plan", number), f"{layer}/{length}/row")[""].numpy()
            spilled = np.fromfile(self.file(f"spill-{length}", number, layer), np.float32)
            activations[rows] = spilled.reshape(-1, length)
        interval = np.full(len(chosen.unit), -1, np.int8)
        tiling = self.recording.halves[half].tilings[length]
        return Block(half, tiling, chosen.kind, chosen.unit, interval, chosen.rank, chosen.excerpt, activations)

    def _late(self, half: str, layer: int, moments: Moments) -> tuple[list[Block], np.ndarray]:
        """The excerpts that the shards chose as the text came by, and the histogram."""
        units = self.recording.sites[layer].units
        groups = {"interval": INTERVALS, "other": 1}
        counts = {"interval": self.config.interval, "other": self.config.other}
        kept = {kind: LowestPriorities(units * per, counts[kind], SHORT) for kind, per in groups.items()}
        histogram = np.zeros((units, self.config.histogram), dtype=np.int64)
        for number in self.shards_of(half):
            state = load_state(self.file("second", number), f"{layer}/")
            histogram += state["histogram"].numpy()
            for kind, lowest in kept.items():
                lowest.add(_under(state, f"{kind}/"))
        tiling = self.recording.halves[half].tilings[SHORT]
        blocks = []
        for kind, lowest in kept.items():
            group, rank, excerpt, activations = lowest.rows()
            unit, interval = np.divmod(group, groups[kind])
            # An excerpt with a place that is not finite may have been kept of a unit that is not.
            good = moments.finite[unit]
            interval = interval if kind == "interval" else np.full(len(unit), -1)
            number = np.full(int(good.sum()), KINDS.index(kind), np.int8)
            columns = (column[good] for column in (unit, interval, rank, excerpt, activations))
            blocks.append(Block(half, tiling, number, *columns))
        return blocks, histogram

    def _write_table(self, path: Path, name: str, layer: int) -> None:
        """Add up the shards' tables, in their order, some rows at a time."""
        site, vocabulary = self.recording.sites[layer], self.recording.vocabulary
        sample = table_sample(self.config, site.name, site.units)
        counts = np.zeros(vocabulary, dtype=np.int64)
        means = np.zeros((len(sample), vocabulary))
        numbers = self.shards_of(name)
        half = self.recording.halves[name]
        for start, length in zip(half.contexts.start, half.contexts.length, strict=True):
            np.add.at(counts, half.side.tokens[start : start + length], 1)
        files = [TableFile(self.file("table", number, layer), len(sample)) for number in numbers] if len(sample) else []
        for first in range(0, vocabulary if files else 0, ROWS_OF_A_TABLE):
            rows = slice(first, min(first + ROWS_OF_A_TABLE, vocabulary))
            sums = np.zeros((rows.stop - first, len(sample)))
            for file in files:
                file.add_to(sums, first)
            means[:, rows] = (sums / np.maximum(counts[rows], 1)[:, None]).T
        write_tables(path, sample, means, counts)


def _under(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
