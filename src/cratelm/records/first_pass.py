"""The first pass over a shard: sums, maxima and the places of top excerpts, so much a unit and nothing a token."""

import mmap
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

BATCHES_IN_MEMORY = 4
"""Batches after which a table's pages leave memory; each return of a page costs time."""


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

    def __init__(self, path, vocabulary: int, sample: np.ndarray):
        self.sample = torch.from_numpy(sample)
        self._file = np.memmap(path, np.float64, "w+", shape=(vocabulary, len(sample)))
        self._sums = torch.from_numpy(self._file)
        self._seen = 0

    def see(self, tokens: tuple[torch.Tensor, torch.Tensor], activations: torch.Tensor) -> None:
        """See the `token_rows` of a batch and its activations (contexts, T, units)."""
        values, rows = tokens
        sample = activations[..., self.sample.to(activations.device)].flatten(0, 1).cpu()  # (contexts * T, sample)
        self._sums.index_add_(0, values, rows @ sample.double())
        self._seen += 1
        if self._seen % BATCHES_IN_MEMORY == 0:  # the file keeps what was written
            self._file._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


class FirstPass(Step):
    """Writes `first-SHARD`, all sites' sums and places, and for the explain half each site's `table-SHARD-LAYER`."""

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
        tables = self._tables(number) if half.name == "explain" and self.config.table_units else []
        shared: list = []

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            if layer == 0:
                tokens = context_tokens(half.side, half.contexts, batch)
                documents = np.broadcast_to(half.contexts.document[batch, None], tokens.shape)
                pairs = batch_pairs(tokens, documents, activations.device)
                shared[:] = token_rows(tokens), pairs
            sites[layer].see(half, batch, activations, shared[1])
            if tables:
                tables[layer].see(shared[0], activations)

        recording.run(shard, see, self.advance(number))
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
                recording.vocabulary,
                table_sample(self.config, site.name, site.units),
            )
            for layer, site in enumerate(recording.sites)
        ]
