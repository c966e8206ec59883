"""The sums of activations on each token, of a sample of units: added up in memory, as far as they fit, and then a file.

A token's keys are PARTS numbers, one for each part of the documents.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

VALUES = "-values"
"""Ending of the file that names the keys of a table's rows."""
MEMORY = 2**26
"""Bytes of sums, of all sites together, that a process holds. All 1,024 units of two layers at 4,096 tokens, in a shard
of 131,072, are 59 MB."""
AT_ONCE = 2**16
"""Sums that are added at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class BatchKeys:
    """The keys of a batch of tokens."""

    group: np.ndarray
    """(keys,), ascending: those of all batches whose sums are held together, this one's among them."""
    row: torch.Tensor
    """(different,): where each of the batch's different keys lies among them."""
    places: torch.Tensor
    """Sparse (different, places): sums over the places of each."""


def group_keys(batches: Sequence[np.ndarray], most: int) -> list[np.ndarray]:
    """For each batch of keys, those of its group, ascending: consecutive batches, with at most `most` keys unless a
    single one has more. The text and the settings alone decide, so that sums do not depend on who takes them."""
    groups: list[np.ndarray] = []
    first, held = 0, np.empty(0, np.int64)
    for number, keys in enumerate(batches):
        more = np.union1d(held, keys)
        if len(more) > most and number > first:
            groups += [held] * (number - first)
            first, more = number, np.unique(keys)
        held = more
    return groups + [held] * (len(batches) - first)


def batch_keys(keys: np.ndarray, group: np.ndarray) -> BatchKeys:
    """What is needed to sum over the places of each key of a batch; `keys` of any shape, all among the group's."""
    values, sizes = np.unique(keys, return_counts=True)
    bounds = torch.from_numpy(np.r_[0, np.cumsum(sizes)].astype(np.int64))
    # Stable: sums are taken in the text's order, whatever the keys are, so that the bytes do not change.
    places = torch.from_numpy(np.argsort(keys, axis=None, kind="stable"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # of torch: such tensors are new, and go unchecked
        rows = torch.sparse_csr_tensor(bounds, places, torch.ones(len(places)), (len(sizes), keys.size))
    return BatchKeys(group, torch.from_numpy(np.searchsorted(group, values)), rows)


class TokenSums:
    """One site's sums over one shard."""

    def __init__(self, path: Path, units: int):
        self._values = path.with_name(path.name + VALUES).open("wb")
        self._file = path.open("wb")
        self._group = np.empty(0, np.int64)
        self._sums = torch.zeros(0, units, dtype=torch.float64)

    def see(self, keys: BatchKeys, activations: torch.Tensor) -> None:
        """See a batch: activations (places, units)."""
        if keys.group is not self._group:
            self._write()
            self._group = keys.group
            self._sums = torch.zeros(len(keys.group), self._sums.shape[1], dtype=torch.float64)
        # float32: a batch holds few places of a token. The batches are added up in float64.
        found = keys.places @ activations
        size = max(1, AT_ONCE // max(1, found.shape[1]))
        for row, some in zip(keys.row.split(size), found.split(size), strict=True):
            self._sums.index_add_(0, row, some.double())

    def close(self) -> None:
        """All is seen."""
        self._write()
        self._values.close()
        self._file.close()

    def _write(self) -> None:
        self._values.write(self._group.astype(np.int32).tobytes())
        # As exact as a batch's sum, and half the bytes: a shard's table is most of what recording writes.
        self._file.write(self._sums.float().numpy().tobytes())


class TokenSumsFile:
    """What a TokenSums wrote, some keys at a time."""

    def __init__(self, path: Path, units: int):
        self.path, self.units = path, units
        self.values = np.fromfile(path.with_name(path.name + VALUES), np.int32)
        # A group's keys ascend.
        groups = np.r_[0, np.flatnonzero(np.diff(self.values) <= 0) + 1, len(self.values)]
        self.groups = [slice(*bounds) for bounds in pairwise(groups)]

    def add_to(self, sums: np.ndarray, keys: np.ndarray) -> None:
        """Add to `sums` (keys, units) what was seen of consecutive `keys` of those that occur, ascending."""
        for group in self.groups:
            bounds = group.start + np.searchsorted(self.values[group], [keys[0], keys[-1] + 1])
            start = int(4 * bounds[0] * self.units)
            rows = np.fromfile(self.path, np.float32, int(bounds[1] - bounds[0]) * self.units, offset=start)
            sums[np.searchsorted(keys, self.values[slice(*bounds)])] += rows.reshape(-1, self.units)
