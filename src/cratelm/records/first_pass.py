"""The first pass over a shard: sums, maxima and the places of top excerpts, so much a unit and nothing a token."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from cratelm.corpus.contexts import context_tokens
from cratelm.records.config import LONG, NEAR_TOP, SHORT, RecordConfig
from cratelm.records.halves import Half, Tiling
from cratelm.records.moments import Moments
from cratelm.records.pairs import Pairs, batch_pairs, token_rows
from cratelm.records.recording import Step, save_state
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed

VALUES = "-values"
"""Ending of the file that names the tokens of a table's rows."""


def table_sample(config: RecordConfig, site: str, units: int) -> np.ndarray:
    """The units of a site whose full token table is kept, sorted."""
    generator = np.random.default_rng(derive_seed(config.seed, "table units", site))
    return np.sort(generator.choice(units, min(config.table_units, units), replace=False))


def tile(activations: torch.Tensor, length: int) -> torch.Tensor:
    """(contexts, T, units) to (contexts, excerpts, length, units), a view; what fills no excerpt is left out."""
    count = activations.shape[1] // length
    return activations[:, : count * length].unflatten(1, (count, length))


class FirstStatistics:
    """What the first pass gathers at one site."""

    def __init__(self, config: RecordConfig, units: int, device: torch.device):
        self.moments = Moments(units, device)
        self.tops = {LONG: TopExcerpts(units, config.top), SHORT: TopExcerpts(units, NEAR_TOP)}

    def see(self, half: Half, batch: np.ndarray, activations: torch.Tensor, pairs: dict[str, Pairs]) -> None:
        """See a batch of contexts: activations (contexts, T, units)."""
        self.moments.update(activations, pairs)
        for length, top in self.tops.items():
            blocks = tile(activations, length)
            tiling: Tiling = half.tilings[length]
            top.update(blocks, blocks.amax(2), tiling.first[batch], half.contexts.document[batch])

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, by name."""
        named = {f"moments/{name}": value for name, value in self.moments.state().items()}
        for length, top in self.tops.items():
            named |= {f"top-{length}/{name}": value for name, value in top.state().items()}
        return named


class TableSums:
    """The summed activations of each token for a sample of units: a file, since the vocabulary may be large."""

    def __init__(self, path: Path, sample: np.ndarray):
        self.sample = torch.from_numpy(sample)
        self._values = path.with_name(path.name + VALUES).open("wb")
        self._sums = path.open("wb")

    def see(self, tokens: tuple[torch.Tensor, torch.Tensor], activations: torch.Tensor) -> None:
        """See the `token_rows` of a batch and its activations (contexts, T, units)."""
        values, rows = tokens
        sample = activations[..., self.sample.to(activations.device)].flatten(0, 1).cpu()  # (contexts * T, sample)
        self._values.write(values.int().numpy().tobytes())
        self._sums.write((rows @ sample.double()).numpy().tobytes())

    def close(self) -> None:
        """All is seen."""
        self._values.close()
        self._sums.close()


class TableFile:
    """What a shard's TableSums wrote, some tokens at a time."""

    def __init__(self, path: Path, columns: int):
        self.path, self.columns = path, columns
        self.values = np.fromfile(path.with_name(path.name + VALUES), np.int32)
        # A batch's tokens ascend.
        batches = np.r_[0, np.flatnonzero(np.diff(self.values) <= 0) + 1, len(self.values)]
        self.batches = [slice(*bounds) for bounds in pairwise(batches)]

    def add_to(self, sums: np.ndarray, first: int) -> None:
        """Add to `sums` (tokens, columns) what was seen of the tokens from `first` on."""
        for batch in self.batches:
            bounds = batch.start + np.searchsorted(self.values[batch], [first, first + len(sums)])
            tokens = self.values[slice(*bounds)] - first
            start = int(8 * bounds[0] * self.columns)
            rows = np.fromfile(self.path, np.float64, len(tokens) * self.columns, offset=start)
            sums[tokens] += rows.reshape(-1, self.columns)


class FirstPass(Step):
    """Writes `first-SHARD`, all sites' sums and places, and each site's `table-SHARD-LAYER`."""

    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""
        return self.file("first", number)

    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""
        if self.result(number).is_file():
            return
        recording = self.recording
        shard = recording.shards[number]
        half, device = shard.half, recording.network.device
        sites = [FirstStatistics(self.config, site.units, device) for site in recording.sites]
        tables = self._tables(number) if self.config.table_units else []
        shared: list = []

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            if layer == 0:
                tokens = context_tokens(half.side, half.contexts, batch)
                documents = np.broadcast_to(half.contexts.document[batch, None], tokens.shape)
                pairs = batch_pairs(tokens, documents, activations.device)
                shared[:] = token_rows(tokens) if tables else None, pairs
            sites[layer].see(half, batch, activations, shared[1])
            if tables:
                tables[layer].see(shared[0], activations)

        recording.run(shard, see, self.advance(number))
        for table in tables:
            table.close()
        states = [site.state() for site in sites]
        save_state(
            self.result(number),
            {f"{layer}/{name}": value for layer, state in enumerate(states) for name, value in state.items()},
        )

    def _tables(self, number: int) -> list[TableSums]:
        recording = self.recording
        return [
            TableSums(
                self.file("table", number, layer),
                table_sample(self.config, site.name, site.units),
            )
            for layer, site in enumerate(recording.sites)
        ]
