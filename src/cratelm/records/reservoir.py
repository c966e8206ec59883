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
        self._key = np.full((groups, count), EMPTY)
        """Priority and excerpt in one number, in any order: what is kept stays in its slot until it is displaced."""
        self._activations = np.zeros((groups, count, tokens), np.float32)
        # The upper 32 bits are the priority. An empty slot has the highest there is, so it lets everything in.
        self.threshold: np.ndarray = np.full(groups, EMPTY >> 32, np.int32)
        """(groups,): an excerpt whose priority is above is not kept."""
        self._waiting: list[tuple[np.ndarray, ...]] = []

    def update(self, group: np.ndarray, priority: np.ndarray, excerpt: np.ndarray, activations: np.ndarray) -> None:
        """See excerpts (rows,) of groups (rows,), with their priorities and activations (rows, tokens)."""
        # Priority above, excerpt below: one sort orders both, and ties go to the earlier excerpt.
        self._waiting.append((group, priority.astype(np.int64) << 32 | excerpt, activations))
        # Sorting costs as much for few new rows as for many, so they wait for each other.
        if sum(len(rows[0]) for rows in self._waiting) > self._key.size // 4:
            self.settle()

    def settle(self) -> None:
        """Take in what was seen and still waits; needed before anything is read."""
        if self._waiting:
            self._keep_lowest(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
            self._waiting = []

    def add(self, state: Mapping[str, torch.Tensor]) -> None:
        """See what another stretch of text kept, with no excerpt that was seen here."""
        self.settle()
        keys = np.concatenate([self._key, state["key"].numpy()], axis=1)
        activations = np.concatenate([self._activations, state["activations"].numpy()], axis=1)
        self._key, self._activations = _ascending(keys, activations, self._key.shape[1])
        self.threshold = (self._key[:, -1] >> 32).astype(np.int32)

    def state(self) -> dict[str, torch.Tensor]:
        """What is kept, by name: keys (groups, count), ascending, and activations (groups, count, tokens)."""
        self.settle()
        kept = _ascending(self._key, self._activations, self._key.shape[1])
        return dict(zip(("key", "activations"), map(torch.from_numpy, kept), strict=True))

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Group, rank, excerpt and activations of all that is kept, sorted by group and rank."""
        key, activations = (values.numpy() for values in self.state().values())
        group, rank = np.nonzero(key != EMPTY)
        return group, rank, key[group, rank] & 0xFFFFFFFF, activations[group, rank]

    def _keep_lowest(self, group: np.ndarray, key: np.ndarray, activations: np.ndarray) -> None:
        order = self._sorted(group, key)
        group, key = group[order], key[order]
        count = self._key.shape[1]
        rank = places_in_sorted(group)
        low = rank < count
        order, group, key, rank = order[low], group[low], key[low], rank[low]
        touched, row = group[rank == 0], np.cumsum(rank == 0) - 1
        keys = np.concatenate([self._key[touched], np.full((len(touched), count), EMPTY)], axis=1)
        keys[row, count + rank] = key
        lowest = np.argsort(keys, axis=1, kind="stable")[:, :count]  # (touched, count)
        self.threshold[touched] = np.take_along_axis(keys, lowest[:, -1:], axis=1)[:, 0] >> 32
        kept = np.zeros(keys.shape, bool)
        np.put_along_axis(kept, lowest, True, axis=1)
        # A group has as many slots that are displaced as rows that displace them, so that both lists pair up.
        at, slot = np.nonzero(~kept[:, :count])
        new = kept[row, count + rank]
        self._key[touched[at], slot] = key[new]
        self._activations[touched[at], slot] = activations[order[new]]

    def _sorted(self, group: np.ndarray, key: np.ndarray) -> np.ndarray:
        """The order of rows by group and key, with one of those that are equal in both."""
        # By key, then stably by group, of which 16 bits are sorted by counting: a fifth of lexsort's time.
        order = np.argsort(key)
        order = order[np.argsort(group[order].astype(np.min_scalar_type(len(self._key))), kind="stable")]
        group, key = group[order], key[order]
        # An excerpt with two of a unit's top tokens comes twice.
        return order[np.r_[True, (group[1:] != group[:-1]) | (key[1:] != key[:-1])][: len(group)]]


def _ascending(keys: np.ndarray, activations: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` lowest of each group's keys (groups, slots), in ascending order, with their activations."""
    place = np.argsort(keys, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(keys, place, axis=1), np.take_along_axis(activations, place[:, :, None], axis=1)
