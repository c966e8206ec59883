"""The first pass over a shard: sums, maxima and the places of top excerpts, so much a unit and nothing a token."""

import warnings
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from cratelm.corpus.contexts import context_tokens
from cratelm.records.config import NEAR_TOP, RecordConfig
from cratelm.records.moments import Moments
from cratelm.records.recording import Pass, save_state
from cratelm.records.shares import PARTS, PositionSums, part_of_contexts
from cratelm.records.tiling import Half, Tiling
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed

VALUES = "-values"
"""Ending of the file that names the keys of a table's rows."""
FEWEST_TABLES = 256
TABLE_ENTRIES = 2**22
"""Units with a token table, times the vocabulary, at most: all of 1,024 units at 4,096 tokens. FEWEST_TABLES units have
one whatever the vocabulary."""


def table_sample(config: RecordConfig, site: str, units: int, vocabulary: int) -> np.ndarray:
    """The units of a site whose full token table is kept, sorted."""
    wanted = config.table_units
    if wanted is None:
        wanted = max(FEWEST_TABLES, TABLE_ENTRIES // vocabulary)
    generator = np.random.default_rng(derive_seed(config.seed, "table units", site))
    return np.sort(generator.choice(units, min(wanted, units), replace=False))


def token_rows(keys: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The different keys of a batch, and a sparse (different, places) that sums over the places of each."""
    values, sizes = np.unique(keys, return_counts=True)
    bounds = torch.from_numpy(np.r_[0, np.cumsum(sizes)].astype(np.int64))
    # Stable: sums are taken in the text's order, whatever the keys are, so that the bytes do not change.
    places = torch.from_numpy(np.argsort(keys, axis=None, kind="stable"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # of torch: such tensors are new, and go unchecked
        rows = torch.sparse_csr_tensor(bounds, places, torch.ones(len(places)), (len(sizes), keys.size))
    return torch.from_numpy(values.astype(np.int64)), rows


def tile(activations: torch.Tensor, length: int) -> torch.Tensor:
    """(contexts, T, units) to (contexts, excerpts, length, units), a view; what fills no excerpt is left out."""
    count = activations.shape[1] // length
    return activations[:, : count * length].unflatten(1, (count, length))


class FirstStatistics:
    """What the first pass gathers at one site."""

    def __init__(self, units: int, lengths: Iterable[int], device: torch.device):
        self.moments = Moments(units, device)
        self.tops = {length: TopExcerpts(units, NEAR_TOP) for length in lengths}

    def see(self, half: Half, batch: np.ndarray, activations: torch.Tensor) -> None:
        """See a batch of contexts: activations (contexts, T, units)."""
        self.moments.update(activations)
        for length, top in self.tops.items():
            blocks = tile(activations, length)
            tiling: Tiling = half.tilings[length]
            top.update(blocks, blocks.amax(2), tiling.first[batch], half.side.group[half.contexts.document[batch]])

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, by name."""
        named = {f"moments/{name}": value for name, value in self.moments.state().items()}
        for length, top in self.tops.items():
            named |= {f"top-{length}/{name}": value for name, value in top.state().items()}
        return named


class TableSums:
    """The summed activations of a sample of units at each token, in a file, since the vocabulary may be large, and at
    each place of a context; both for the two parts of the documents apart."""

    def __init__(self, path: Path, sample: np.ndarray, longest: int):
        self.sample = torch.from_numpy(sample)
        self.positions = PositionSums(longest, len(sample))
        self._values = path.with_name(path.name + VALUES).open("wb")
        self._sums = path.open("wb")

    def see(self, part: np.ndarray, tokens: tuple[torch.Tensor, torch.Tensor], activations: torch.Tensor) -> None:
        """See a batch: the part of each context, its `token_rows`, and its activations (contexts, T, units)."""
        keys, rows = tokens
        if len(self.sample) < activations.shape[-1]:
            activations = activations[..., self.sample.to(activations.device)]  # (contexts, T, sample)
        self.positions.see(part, activations)
        self._values.write(keys.int().numpy().tobytes())
        # float32: a batch holds few places of a token. The batches are added up in float64.
        self._sums.write((rows @ activations.flatten(0, 1).cpu()).numpy().tobytes())

    def close(self) -> None:
        """All is seen."""
        self._values.close()
        self._sums.close()


class TableFile:
    """What a shard's TableSums wrote, some keys at a time: a token's keys are PARTS numbers, one for each part."""

    def __init__(self, path: Path, columns: int):
        self.path, self.columns = path, columns
        self.values = np.fromfile(path.with_name(path.name + VALUES), np.int32)
        # A batch's keys ascend.
        batches = np.r_[0, np.flatnonzero(np.diff(self.values) <= 0) + 1, len(self.values)]
        self.batches = [slice(*bounds) for bounds in pairwise(batches)]

    def add_to(self, sums: np.ndarray, keys: np.ndarray) -> None:
        """Add to `sums` (keys, columns) what was seen of consecutive `keys` of those that occur, ascending."""
        for batch in self.batches:
            bounds = batch.start + np.searchsorted(self.values[batch], [keys[0], keys[-1] + 1])
            start = int(4 * bounds[0] * self.columns)
            rows = np.fromfile(self.path, np.float32, int(bounds[1] - bounds[0]) * self.columns, offset=start)
            sums[np.searchsorted(keys, self.values[slice(*bounds)])] += rows.reshape(-1, self.columns)


class FirstPass(Pass):
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
        half, device = shard.half, recording.counting_device
        sites = [FirstStatistics(site.units, half.tilings, device) for site in recording.sites]
        tables = self._tables(number)
        part = part_of_contexts(half)
        shared: list = []

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            # All sites see the same tokens: the first one to be called, whichever it is, sorts them for all.
            if not shared or shared[0] is not batch:
                tokens = context_tokens(half.side, half.contexts, batch)
                shared[:] = [batch, token_rows(PARTS * tokens + part[batch, None])]
            sites[layer].see(half, batch, activations)
            tables[layer].see(part[batch], shared[1], activations)

        recording.run(shard, see, self.advance(number))
        states = [site.state() for site in sites]
        for table, state in zip(tables, states, strict=True):
            table.close()
            state["positions"] = table.positions.sums
        save_state(
            self.result(number),
            {f"{layer}/{name}": value for layer, state in enumerate(states) for name, value in state.items()},
        )

    def _tables(self, number: int) -> list[TableSums]:
        recording = self.recording
        return [
            TableSums(
                self.file("table", number, layer),
                table_sample(self.config, site.name, site.units, recording.vocabulary),
                int(recording.shards[number].half.contexts.length.max()),
            )
            for layer, site in enumerate(recording.sites)
        ]
