"""A uniform sample of each group of excerpts, with its activations, kept while the text streams by."""

from collections.abc import Mapping

import numpy as np
import torch

from cratelm.stats import places_in_sorted

EMPTY = np.iinfo(np.int64).max


class LowestPriorities:
    """The `count` excerpts of each group that have the lowest priorities, ties to the earlier place.

    A group is a unit, or a unit's interval. What is kept depends on what was seen, not on its order.
    """

    def __init__(self, groups: int, count: int, tokens: int):
        self.key = np.full((groups, count), EMPTY)
        """Priority and excerpt in one number, ascending."""
        self.activations = np.zeros((groups, count, tokens), np.float32)
        self._waiting: list[tuple[np.ndarray, ...]] = []

    @property
    def threshold(self) -> np.ndarray:
        """(groups,) int32: an excerpt whose priority is above is not kept."""
        # The upper 32 bits are the priority. An empty slot has the highest there is, so it lets everything in.
        return (self.key[:, -1] >> 32).astype(np.int32)

    def update(self, group: np.ndarray, priority: np.ndarray, excerpt: np.ndarray, activations: np.ndarray) -> None:
        """See excerpts (rows,) of groups (rows,), with their priorities and activations (rows, tokens)."""
        # Priority above, excerpt below: one sort orders both, and ties go to the earlier excerpt.
        self._waiting.append((group, priority.astype(np.int64) << 32 | excerpt, activations))
        # Sorting costs as much for few new rows as for many, so they wait for each other.
        if sum(len(rows[0]) for rows in self._waiting) > self.key.size // 4:
            self.settle()

    def settle(self) -> None:
        """Take in what was seen and still waits; needed before anything is read."""
        if self._waiting:
            self._keep_lowest(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
            self._waiting = []

    def add(self, state: Mapping[str, torch.Tensor]) -> None:
        """See what another stretch of text kept, with no excerpt that was seen here."""
        self.settle()
        keys = np.concatenate([self.key, state["key"].numpy()], axis=1)
        activations = np.concatenate([self.activations, state["activations"].numpy()], axis=1)
        place = np.argsort(keys, axis=1, kind="stable")[:, : self.key.shape[1]]  # (groups, count)
        self.key = np.take_along_axis(keys, place, axis=1)
        self.activations = np.take_along_axis(activations, place[:, :, None], axis=1)

    def state(self) -> dict[str, torch.Tensor]:
        """What is kept, by name."""
        self.settle()
        return {"key": torch.from_numpy(self.key), "activations": torch.from_numpy(self.activations)}

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Group, rank, excerpt and activations of all that is kept, sorted by group and rank."""
        self.settle()
        group, rank = np.nonzero(self.key != EMPTY)
        return group, rank, self.key[group, rank] & 0xFFFFFFFF, self.activations[group, rank]

    def _keep_lowest(self, group: np.ndarray, key: np.ndarray, activations: np.ndarray) -> None:
        # By key, then stably by group, of which 16 bits are sorted by counting: a fifth of lexsort's time.
        order = np.argsort(key)
        order = order[np.argsort(group[order].astype(np.min_scalar_type(len(self.key))), kind="stable")]
        group, key = group[order], key[order]
        # A pair may come more than once: an excerpt with two of a unit's top tokens.
        fresh = np.r_[True, (group[1:] != group[:-1]) | (key[1:] != key[:-1])][: len(group)]
        order, group, key = order[fresh], group[fresh], key[fresh]
        count = self.key.shape[1]
        rank = places_in_sorted(group)
        low = rank < count
        order, group, key, rank = order[low], group[low], key[low], rank[low]
        begins = rank == 0
        touched, row = group[begins], np.cumsum(begins) - 1
        keys = np.concatenate([self.key[touched], np.full((len(touched), count), EMPTY)], axis=1)
        keys[row, count + rank] = key
        place = np.argsort(keys, axis=1, kind="stable")[:, :count]  # (touched, count)
        both = np.concatenate([self.activations[touched], np.zeros_like(self.activations[touched])], axis=1)
        both[row, count + rank] = activations[order]
        self.key[touched] = np.take_along_axis(keys, place, axis=1)
        self.activations[touched] = np.take_along_axis(both, place[:, :, None], axis=1)
