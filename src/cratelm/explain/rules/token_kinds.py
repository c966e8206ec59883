"""Conditions about which token it is: the current one, one of those before it, or one of the last few."""

from collections.abc import Sequence

import numpy as np

from cratelm.explain.explainers.table import quoted
from cratelm.explain.rules.condition import Candidates, Condition, Kind, named
from cratelm.explain.rules.text_view import TextView, last_before, shifted

FURTHEST = 3
"""How many tokens before the current one are looked at one by one."""
WINDOWS = (4, 8, 24)
"""How many tokens "one of the last tokens" are."""
LINE = 0
"""Stands, as a window, for the tokens before the current one in its line."""
LINE_REACH = 32
"""So many tokens of a line are looked at when candidates are gathered."""
OFTEN = 2
"""Texts that a token has to occur in before it can be a candidate."""
RECENT_IN = 24
"""A token among the last few is a candidate where one in so many texts has it: rarer ones predict nothing, and take
half of the time."""
FEW = 64
"""In so few texts, a token that occurs in one of them is a candidate too."""


class TokenIs(Kind):
    """The token, or one up to three places before, is one of a few."""

    name = "token"
    exclusive = True

    def candidates(self, view: TextView) -> Candidates:
        """Each token that occurs in two texts, at each place before; of a few texts, every token."""
        often = np.flatnonzero(_texts_with(view) >= (1 if len(view.tokens) <= FEW else OFTEN))
        place_of = np.full(len(view.ids), -1)
        place_of[often] = np.arange(len(often))
        conditions = [
            Condition(self.name, back, tokens=(token,))
            for back in range(FURTHEST + 1)
            for token in view.ids[often].tolist()
        ]
        found = []
        for back in range(FURTHEST + 1):
            place = shifted(place_of[view.code], back, -1).ravel()
            position = np.flatnonzero(place >= 0)
            found.append((place[position] + back * len(often), position))
        condition, position = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return Candidates(conditions, condition, position)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        return shifted(_among(view.tokens[rows], condition.tokens), condition.back, False)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f"{named(condition.back)} is {_listed(condition.tokens, texts)}"


class TokenRecently(Kind):
    """One of the last tokens before the current one is a certain one, or one before it in its line."""

    name = "recent"

    def candidates(self, view: TextView) -> Candidates:
        """Each token that occurs in two texts, and in one of RECENT_IN, in each window."""
        often = np.flatnonzero(_texts_with(view) >= max(OFTEN, len(view.tokens) // RECENT_IN))
        place_of = np.full(len(view.ids), -1)
        place_of[often] = np.arange(len(often))
        windows = (LINE, *WINDOWS)
        conditions = [
            Condition(self.name, window=window, tokens=(token,))
            for window in windows
            for token in view.ids[often].tolist()
        ]
        found = []
        for lag in range(1, max(*WINDOWS, LINE_REACH) + 1):
            condition, position, in_line = self._at(view, place_of, lag)
            for number, window in enumerate(windows):
                kept = in_line if window == LINE else np.full(len(in_line), lag <= window)
                found.append((condition[kept] + number * len(often), position[kept]))
        condition, position = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return Candidates(conditions, condition, position)

    @staticmethod
    def _at(view: TextView, place_of: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tokens `lag` places before each one that did not come again since: place, position, whether in line."""
        width = view.tokens.shape[1]
        if lag >= width:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool)
        # A token came again where its next occurrence lies before the position that looks back.
        fresh = _next(view)[:, : width - lag] >= view.columns[lag:]
        place = place_of[view.code[:, : width - lag]]
        row, column = np.nonzero(fresh & (place >= 0))
        line = view.line_begin[row, column + lag]
        return place[row, column], row * width + column + lag, (line >= 0) & (column >= line)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        last = last_before(_among(view.tokens[rows], condition.tokens))
        first = view.line_begin[rows] if condition.window == LINE else view.columns - condition.window
        return (last >= 0) & (last >= first) & (first >= 0 if condition.window == LINE else True)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        token = _listed(condition.tokens, texts)
        if condition.window == LINE:
            return f"{token} is earlier in the line"
        return f"one of the last {condition.window} tokens is {token}"


def _texts_with(view: TextView) -> np.ndarray:
    """In how many rows each of the view's tokens occurs: (ids,)."""
    rows = np.arange(len(view.tokens))[:, None]
    return np.bincount(np.unique(view.code * len(view.tokens) + rows) // len(view.tokens), minlength=len(view.ids))


def _next(view: TextView) -> np.ndarray:
    """The column where each token occurs next, T where it does not: (rows, T)."""

    def find() -> np.ndarray:
        following = np.full(view.tokens.shape, view.tokens.shape[1])
        row, column = np.nonzero(view.previous >= 0)
        following[row, view.previous[row, column]] = column
        return following

    return view.once("next", find)


def _among(tokens: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    holds = tokens == wanted[0]
    for token in wanted[1:]:
        holds |= tokens == token
    return holds


def _listed(tokens: tuple[int, ...], texts: Sequence[str]) -> str:
    names = [quoted(texts[token]) for token in tokens]
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


TOKEN_IS, TOKEN_RECENTLY = TokenIs(), TokenRecently()
