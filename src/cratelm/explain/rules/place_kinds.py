"""Conditions about where a token stands: inside brackets, in its line, in the text, and whether it was there before."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from cratelm.explain.rules.condition import Candidates, Condition, Kind, dense_candidates, named
from cratelm.explain.rules.text_view import TextView, shifted

APOSTROPHE = re.compile(r"^'(?=[a-z]+$)|(?<=\w)'(?=\w)|(?<=s)'$")
"""A single mark that is no quotation mark: in "don't", cut or whole, and in "the boys' room"."""
INSIDE: dict[str, Callable[[TextView], np.ndarray]] = {
    "round brackets": lambda view: view.depth("(", ")") > 0,
    "square brackets": lambda view: view.depth("[", "]") > 0,
    "curly brackets": lambda view: view.depth("{", "}") > 0,
    "double quotes": lambda view: view.quoted(lambda text: sum(map(text.count, '"“”'))),
    "single quotes": lambda view: view.quoted(lambda text: APOSTROPHE.sub("", text).count("'")),
}
"""What a token can stand inside of, and where that is so."""
FIRST = range(4)
"""Places that are looked at one by one."""
FROM = (4, 8, 16, 32, 64)
"""Places from which on is looked at."""
SEEN = (8, 24, 64)
"""How far back a token may have occurred before."""
ORDINALS = ("first", "second", "third", "fourth")


class Inside(Kind):
    """The token stands inside brackets or quotes."""

    name = "inside"

    def candidates(self, view: TextView) -> Candidates:
        """Each kind of brackets and quotes."""
        return dense_candidates(self, [Condition(self.name, text=text) for text in INSIDE], view)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        return view.once((self.name, condition.text), lambda: INSIDE[condition.text](view))[rows]

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f"the token is inside {condition.text}"


class SeenBefore(Kind):
    """The token, or the one before it, occurred before."""

    name = "seen"

    def candidates(self, view: TextView) -> Candidates:
        """Each distance, of the current token and of the one before."""
        every = [Condition(self.name, back, window) for back in (0, 1) for window in SEEN]
        return dense_candidates(self, every, view)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        previous = view.previous[rows]
        seen = (previous >= 0) & (view.columns - previous <= condition.window)
        return shifted(seen, condition.back, False)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f"{named(condition.back)} is also among the {condition.window} tokens before it"


class AsBefore(Kind):
    """The token is the one that followed the token before it the last time, as an induction head predicts."""

    name = "as-before"

    def candidates(self, view: TextView) -> Candidates:
        """One condition."""
        return dense_candidates(self, [Condition(self.name)], view)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        return view.as_before[rows]

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return "the token also followed the token before when that one last occurred"


class Place(Kind):
    """The token's place in its context."""

    name = "place"

    def candidates(self, view: TextView) -> Candidates:
        """The first few places, and places from one on."""
        return dense_candidates(self, _places(self.name), view)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        return _at(condition, view.place[rows, None] + view.columns)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f"the token is {_ordinal(condition)} of the text"


class PlaceInLine(Kind):
    """The token's place in its line; unknown where the line begins before the text."""

    name = "place-in-line"

    def candidates(self, view: TextView) -> Candidates:
        """The first few places, and places from one on."""
        return dense_candidates(self, _places(self.name), view)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        begin = view.line_begin[rows]
        return (begin >= 0) & _at(condition, view.columns - begin)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f"the token is {_ordinal(condition)} of its line"


def _places(kind: str) -> list[Condition]:
    """One place, with window 0, or the places from it on, with window 1."""
    return [Condition(kind, back=place) for place in FIRST] + [Condition(kind, place, 1) for place in FROM]


def _at(condition: Condition, place: np.ndarray) -> np.ndarray:
    return place >= condition.back if condition.window else place == condition.back


def _ordinal(condition: Condition) -> str:
    if condition.window:
        return f"behind the first {condition.back}"
    return f"the {ORDINALS[condition.back]}"


INSIDE_OF, SEEN_BEFORE, AS_BEFORE, PLACE, PLACE_IN_LINE = Inside(), SeenBefore(), AsBefore(), Place(), PlaceInLine()
