"""After the passes: each site's excerpts, statistics and token tables out of the shards, one site at a time."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from cratelm.protocols import PROTOCOLS, SHORT
from cratelm.records.choose_excerpts import Planner
from cratelm.records.config import INTERVALS
from cratelm.records.draw_text import draw_pieces, write_of_shards, write_pieces_of
from cratelm.records.find_ngrams import ngram_sample
from cratelm.records.moments import Moments
from cratelm.records.ngram_sums import add_up
from cratelm.records.ngrams import ngram_name, write_ngrams
from cratelm.records.pass1_statistics import table_sample
from cratelm.records.recording import HALVES, load_state
from cratelm.records.reservoir import LowestPriorities
from cratelm.records.shares import PARTS, Shares, position_counts, token_counts
from cratelm.records.store import KINDS, Block, table_name, write_excerpts, write_tables, write_units
from cratelm.records.text_sample import activations_name
from cratelm.records.tiling import Half
from cratelm.records.token_sums import TokenSumsFile

ROWS_OF_A_TABLE = 4096


class Assembler(Planner):
    """Writes the store's files into `out`."""

    def write_store(self, out: Path) -> list[int]:
        """Write all sites' files; gives each site's number of units that are not finite in a half."""
        statistics: list[dict[str, dict[str, np.ndarray]]] = []
        for layer in range(len(self.recording.sites)):
            of_half = self._write_excerpts(out / f"layer-{layer}.parquet", layer)
            for half in HALVES:
                of_half[half] |= self._write_table(
                    out / table_name(layer, half), half, layer, of_half[half]["variance"]
                )
            self._write_ngrams(out / ngram_name(layer), layer)
            statistics.append(of_half)
        write_units(out / "units.parquet", statistics)
        for half in self.recording.halves.values():
            self._write_text(out, half)
        return [int((~(of["explain"]["finite"] & of["score"]["finite"])).sum()) for of in statistics]

    def _write_excerpts(self, path: Path, layer: int) -> dict[str, dict[str, np.ndarray]]:
        """Write a site's excerpts; gives each half's statistics of it."""
        blocks: list[Block] = []
        of_half: dict[str, dict[str, np.ndarray]] = {}
        for name in HALVES:
            moments = self.moments(name, layer)
            blocks += [self._known(name, layer, length) for length in self.recording.halves[name].tilings]
            late, histogram = self._late(name, layer, moments)
            blocks += late
            of_half[name] = moments.statistics() | {"histogram": histogram}
        write_excerpts(path, blocks)
        return of_half

    def _known(self, half: str, layer: int, length: int) -> Block:
        """The excerpts that the plan named, with the activations that the shards spilled in its order."""
        tiling = self.recording.halves[half].tilings[length]
        rows: list[tuple[np.ndarray, ...]] = []
        for number in self.shards_of(half):
            plan = load_state(self.file("plan", number), f"{layer}/{length}/")
            unit, kind, rank, within, place = (
                plan[name].numpy() for name in ("unit", "kind", "rank", "within", "place")
            )
            excerpt = tiling.first[self.recording.shards[number].order()[place]] + within
            spilled = np.fromfile(self.file(f"spill-{length}", number, layer), np.float32)
            rows.append((kind, unit, np.full(len(unit), -1, np.int8), rank, excerpt, spilled.reshape(-1, length)))
        return Block(half, tiling, *map(np.concatenate, zip(*rows, strict=True)))

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

    def _write_table(self, path: Path, name: str, layer: int, variance: np.ndarray) -> dict[str, np.ndarray]:
        """Add up the shards' tables, in their order, some tokens at a time; gives the units' shares, (units,) each."""
        site, vocabulary = self.recording.sites[layer], self.recording.vocabulary
        sample = table_sample(self.config, site.name, site.units, vocabulary)
        counts = token_counts(self.recording.halves[name], vocabulary)  # (PARTS, V)
        # Those that occur: of 262,144 tokens, a text of 20,000 holds 3,000.
        tokens = np.flatnonzero(counts.sum(0))
        counts = counts[:, tokens]
        means = np.zeros((len(sample), len(tokens)), np.float32)
        files = [TokenSumsFile(self.file("table", number, layer), len(sample)) for number in self.shards_of(name)]
        between = Shares(len(sample))
        for first in range(0, len(tokens) if len(sample) else 0, ROWS_OF_A_TABLE):
            rows = slice(first, first + ROWS_OF_A_TABLE)
            keys = (PARTS * tokens[rows, None] + np.arange(PARTS)).ravel()
            sums = np.zeros((len(keys), len(sample)))
            for file in files:
                file.add_to(sums, keys)
            by_part = sums.reshape(-1, PARTS, len(sample)).swapaxes(0, 1)  # (PARTS, tokens, sample)
            between.see(by_part, counts[:, rows])
            means[:, rows] = (by_part.sum(0) / np.maximum(counts[:, rows].sum(0), 1)[:, None]).T
        write_tables(path, sample, tokens, means, counts.sum(0))
        found = {"token_share": between, "position_share": self._between_places(name, layer, len(sample))}
        return {share: _of_all(sample, of.of(variance[sample]), site.units) for share, of in found.items()}

    def _write_ngrams(self, path: Path, layer: int) -> None:
        """Add up the shards' sums on n-grams, in their order."""
        site, shown = self.recording.sites[layer], self.recording.halves[PROTOCOLS[self.config.protocol].explained_on]
        tables = table_sample(self.config, site.name, site.units, self.recording.vocabulary)
        units = ngram_sample(self.config, site.name, tables)
        files = [TokenSumsFile(self.file("ngrams", number, layer), len(units)) for number in self.shards_of(shown.name)]
        write_ngrams(path, add_up(self.recording.ngrams, shown, units, files))

    def _write_text(self, out: Path, half: Half) -> None:
        """Write a half's text sample, and what each site's units with a token table do on it."""
        pieces = draw_pieces(half, self.config.seed)
        write_pieces_of(out, half, pieces)
        for layer, site in enumerate(self.recording.sites):
            units = table_sample(self.config, site.name, site.units, self.recording.vocabulary)
            shards = [
                (self.recording.shards[number], self.file("text", number, layer))
                for number in self.shards_of(half.name)
            ]
            write_of_shards(out / activations_name(half.name, layer), pieces, units, shards)

    def _between_places(self, name: str, layer: int, sample: int) -> Shares:
        """What lies between the places of a context."""
        between, sums = Shares(sample), 0.0
        for number in self.shards_of(name):
            sums = sums + load_state(self.file("first", number), f"{layer}/positions")[""].numpy()
        between.see(np.asarray(sums), position_counts(self.recording.halves[name]))
        return between


def _of_all(sample: np.ndarray, values: np.ndarray, units: int) -> np.ndarray:
    """Values of a sample of units, (sample,), among those of all, (units,): NaN for the rest."""
    found = np.full(units, np.nan)
    found[sample] = values
    return found


def _under(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
