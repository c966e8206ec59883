"""Each unit's excerpts with the highest maximum, kept exactly while the text streams by."""

from collections.abc import Mapping

import numpy as np
import torch

from cratelm.stats import first_of_each, places_in_sorted


class TopExcerpts:
    """The `count` best excerpts of each unit, at most one of a group of near-duplicates, ties to the earlier place.

    Only excerpts in which a unit fires count. What is kept depends on what was seen, not on its order: keeping the
    best of two kept lists is keeping the best of all.
    """

    def __init__(self, units: int, count: int):
        self.units, self.count = units, count
        self.unit: np.ndarray = np.empty(0, np.int32)
        self.value: np.ndarray = np.empty(0, np.float32)
        self.excerpt: np.ndarray = np.empty(0, np.int32)
        self.group: np.ndarray = np.empty(0, np.int32)
        self.peak: np.ndarray = np.empty(0, np.int8)
        """The place of the maximum within the excerpt."""
        self.threshold = np.zeros(units, np.float32)
        self._waiting: list[tuple[np.ndarray, ...]] = []

    def update(self, blocks: torch.Tensor, maxima: torch.Tensor, first: np.ndarray, group: np.ndarray) -> None:
        """See a batch of contexts of one length.

        `blocks` (contexts, excerpts, tokens, units), `maxima` (contexts, excerpts, units) over its tokens, `first` and
        `group` (contexts,): the number of each context's first excerpt, and the group that its document is in.
        """
        best = maxima.amax(1)  # (contexts, units): no context has more than one excerpt to offer
        threshold = torch.from_numpy(self.threshold).to(best.device)
        # At the threshold itself an earlier excerpt may still win the tie.
        context, unit = ((best > 0) & (best >= threshold)).nonzero(as_tuple=True)
        if not len(unit):
            return
        within = maxima[context, :, unit].cpu().numpy().argmax(1)  # (candidates,): the first of the highest
        tokens = (
            blocks[context, torch.from_numpy(within).to(unit.device), :, unit].cpu().numpy()
        )  # (candidates, tokens)
        peak = tokens.argmax(1)
        context, unit = context.cpu().numpy(), unit.cpu().numpy()
        value = tokens[np.arange(len(peak)), peak]
        self._waiting.append((unit, value, first[context] + within, group[context], peak))
        # Sorting costs as much for few new rows as for many, so they wait for each other.
        if sum(len(rows[0]) for rows in self._waiting) > self.units * self.count // 4:
            self.settle()

    def settle(self) -> None:
        """Take in what was seen and still waits; needed before anything is read."""
        if self._waiting:
            self._keep_best(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
            self._waiting = []

    def add(self, state: Mapping[str, torch.Tensor]) -> None:
        """See what another stretch of text kept."""
        rows = tuple(state[name].numpy() for name in ("unit", "value", "excerpt", "group", "peak"))
        if len(self.unit) or self._waiting:
            self._waiting.append(rows)
        else:  # the best of one list is that list
            self.unit, self.value, self.excerpt, self.group, self.peak = rows

    def state(self) -> dict[str, torch.Tensor]:
        """What is kept, by name, (rows,) each, sorted by unit and rank."""
        self.settle()
        names = ("unit", "value", "excerpt", "group", "peak")
        return {name: torch.from_numpy(getattr(self, name)) for name in names}

    def _keep_best(self, *new: np.ndarray) -> None:
        # Only units that are offered something are sorted again.
        touched = np.zeros(self.units, dtype=bool)
        touched[new[0]] = True
        again = touched[self.unit]
        old = (self.unit, self.value, self.excerpt, self.group, self.peak)
        rows: list[np.ndarray] = [
            np.concatenate([column[again], extra.astype(column.dtype)]) for column, extra in zip(old, new, strict=True)
        ]
        order = self._one_of_a_group(rows, self._by_rank(rows))
        rank = places_in_sorted(rows[0][order])
        order = order[rank < self.count]
        kept = [column[order] for column in rows]
        # Only a unit whose list is full has a threshold; until then all that fires is kept.
        full = rank[rank < self.count] == self.count - 1
        self.threshold[kept[0][full]] = kept[1][full]
        merged = [np.concatenate([column[~again], extra]) for column, extra in zip(old, kept, strict=True)]
        by_unit = self._by_unit(merged[0])
        self.unit, self.value, self.excerpt, self.group, self.peak = (column[by_unit] for column in merged)

    def _by_rank(self, rows: list[np.ndarray]) -> np.ndarray:
        """The order of rows by unit, then from the highest value, then by place.

        Activations are not negative, and such float32 numbers are ordered as their bits are, so that value and place
        make one integer: sorting that takes a third of the time of sorting by three columns.
        """
        unit, value, excerpt = rows[:3]
        bits = (value + np.float32(0)).view(np.uint32).astype(np.uint64)  # -0 becomes 0
        order = np.argsort(((np.uint64(2**32 - 1) - bits) << np.uint64(32)) | excerpt.astype(np.uint64))
        return order[self._by_unit(unit[order])]

    def _by_unit(self, unit: np.ndarray) -> np.ndarray:
        """A stable order by unit; 16 bits are sorted by counting."""
        return np.argsort(unit.astype(np.min_scalar_type(self.units)), kind="stable")

    def _one_of_a_group(self, rows: list[np.ndarray], order: np.ndarray) -> np.ndarray:
        """Of rows in `order` the first of each group within a unit, which is its best."""
        unit, group = rows[0][order], rows[3][order]
        return order[first_of_each(unit.astype(np.int64) << 32 | group)]

    @property
    def rank(self) -> np.ndarray:
        """The rank of each kept row within its unit, 0 being the highest."""
        return places_in_sorted(self.unit)
