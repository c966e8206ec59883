"""Texts as predicates see them: everything that does not depend on a unit, computed once for all units.

Only the text that is given is known. What a predicate would have to read before a text's first token counts as false.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

BREAK = "\n"


@dataclass(frozen=True, eq=False)
class TextView:
    """Some texts of one length."""

    tokens: np.ndarray
    """(rows, T) int64."""
    place: np.ndarray
    """(rows,) int64: the place of the first token in its context."""
    texts: Sequence[str]
    """The vocabulary's tokens."""
    _kept: dict[Hashable, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> np.ndarray:
        """(T,)."""
        return np.arange(self.tokens.shape[1])

    def once(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """make(), kept under a key for later calls."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @cached_property
    def _coded(self) -> tuple[np.ndarray, np.ndarray]:
        return np.unique(self.tokens, return_inverse=True)

    @property
    def ids(self) -> np.ndarray:
        """The tokens that occur, ascending: (ids,)."""
        return self._coded[0]

    @property
    def code(self) -> np.ndarray:
        """Which of `ids` each token is: (rows, T)."""
        return self._coded[1].reshape(self.tokens.shape)

    @cached_property
    def words(self) -> list[str]:
        """The texts of `ids`."""
        return [self.texts[token] for token in self.ids.tolist()]

    def number(self, of: Callable[[str], int]) -> np.ndarray:
        """A number of each token's text: (rows, T) int64."""
        return np.array([of(word) for word in self.words], np.int64)[self.code]

    @cached_property
    def line_begin(self) -> np.ndarray:
        """The column of the first token of each token's line, -1 where it lies before the text: (rows, T)."""
        breaks = self.number(lambda word: BREAK in word) > 0
        begins = np.where(shifted(breaks, 1, False), self.columns, -1)
        begins[:, 0] = np.where(self.place == 0, 0, -1)
        return np.maximum.accumulate(begins, axis=1)

    @cached_property
    def previous(self) -> np.ndarray:
        """The column where each token occurred last before, -1 where it did not: (rows, T)."""
        rows, width = self.tokens.shape
        key = (np.arange(rows)[:, None] * len(self.ids) + self.code).ravel()
        order = np.argsort(key, kind="stable")
        same = np.r_[False, key[order][1:] == key[order][:-1]][: len(key)]
        before = np.full(rows * width, -1)
        before[order[same]] = order[np.flatnonzero(same) - 1] % width
        return before.reshape(rows, width)

    @cached_property
    def as_before(self) -> np.ndarray:
        """Whether each token is the one that followed when the token before it occurred last: (rows, T)."""
        origin = shifted(self.previous, 1, -1)
        then = np.take_along_axis(self.tokens, np.maximum(origin + 1, 0), axis=1)
        return (origin >= 0) & (then == self.tokens)

    def depth(self, opens: str, closes: str) -> np.ndarray:
        """How many brackets are open around each token, itself not counted: (rows, T)."""
        steps = self.number(lambda word: word.count(opens) - word.count(closes))
        before, depth = np.zeros_like(steps), np.zeros(len(steps), np.int64)
        for column in self.columns:
            after = np.maximum(depth + steps[:, column], 0)  # what opened before the text is unknown
            before[:, column] = np.minimum(depth, after)
            depth = after
        return before

    def quoted(self, marks: Callable[[str], int]) -> np.ndarray:
        """Whether each token stands between quotation marks of one line, of which a text has `marks`: (rows, T)."""
        toggles = self.number(marks) % 2
        breaks = self.number(lambda word: BREAK in word) > 0
        inside, open_now = np.zeros(toggles.shape, bool), np.zeros(len(toggles), np.int64)
        for column in self.columns:
            inside[:, column] = (open_now == 1) & (toggles[:, column] == 0)
            open_now = np.where(breaks[:, column], 0, open_now ^ toggles[:, column])
        return inside


def shifted(values: np.ndarray, back: int, missing: int | bool) -> np.ndarray:
    """The values so many columns earlier, `missing` before the first: (rows, T)."""
    moved = np.full(values.shape, missing, values.dtype)
    moved[:, back:] = values[:, : values.shape[1] - back]
    return moved


def last_before(holds: np.ndarray) -> np.ndarray:
    """The last column before each one where something holds, -1 where there is none: (rows, T)."""
    columns = np.where(holds, np.arange(holds.shape[1]), -1)
    return shifted(np.maximum.accumulate(columns, axis=1), 1, -1)
