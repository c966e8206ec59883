"""Conditions about what kind of token it is: a number, a capitalised word, a word that ends in "ing"."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from cratelm.explain.rules.condition import Candidates, Condition, Kind, dense_candidates, named
from cratelm.explain.rules.text_view import BREAK, TextView, shifted

CLASSES: dict[str, Callable[[str], bool]] = {
    "is a number": lambda text: text.strip().isdigit(),
    "begins with a capital letter": lambda text: text.strip()[:1].isupper(),
    "is in capital letters": lambda text: text.isupper() and len(text.strip()) > 1,
    "is white space": lambda text: not text.strip(),
    "has a line break": lambda text: BREAK in text,
    "begins with a space": lambda text: text.startswith(" "),
    "is punctuation": lambda text: bool(re.fullmatch(r"\s*[^\w\s]+\s*", text)),
    "ends a sentence": lambda text: text.strip() in (".", "!", "?"),
    "is a word": lambda text: text.strip().isalpha(),
    "is in small letters": lambda text: text.strip().isalpha() and text.islower(),
}
"""What can be said of a token's text."""
CLASS_REACH = 2
"""Classes of the current token, and of those up to so many places before, are looked at."""
ENDINGS = (2, 3, 4)
"""Letters of an ending."""
SHARED_BY = 3
"""An ending is a candidate where so many different words have it."""
STEM = 2
"""Letters that a word has before its ending, at least."""


class TokenClass(Kind):
    """The token, or one before, is of a class."""

    name = "class"

    def candidates(self, view: TextView) -> Candidates:
        """Each class of each of the last tokens."""
        every = [Condition(self.name, back, text=text) for back in range(CLASS_REACH + 1) for text in CLASSES]
        return dense_candidates(self, every, view)

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        own = view.once((self.name, condition.text), lambda: view.number(CLASSES[condition.text]) > 0)
        return shifted(own[rows], condition.back, False)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f"{named(condition.back)} {condition.text}"


class TokenEnding(Kind):
    """The token, or the one before, is a word with a certain ending."""

    name = "ending"

    def candidates(self, view: TextView) -> Candidates:
        """The endings that several words share."""
        count = Counter(ending for word in {_word(text) for text in view.words} for ending in _endings(word))
        shared = sorted(ending for ending, words in count.items() if words >= SHARED_BY)
        return dense_candidates(
            self, [Condition(self.name, back, text=ending) for back in (0, 1) for ending in shared], view
        )

    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """(rows, T) bool."""
        own = view.once((self.name, condition.text), lambda: view.number(lambda text: _ends(text, condition.text)) > 0)
        return shifted(own[rows], condition.back, False)

    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """As a clause."""
        return f'{named(condition.back)} ends in "{condition.text}"'


def _word(text: str) -> str:
    word = text.strip().lower()
    return word if word.isalpha() else ""


@lru_cache(2**16)  # each ending is looked for in every token
def _endings(text: str) -> tuple[str, ...]:
    word = _word(text)
    return tuple(word[-letters:] for letters in ENDINGS if len(word) >= letters + STEM)


def _ends(text: str, ending: str) -> bool:
    return ending in _endings(text)


TOKEN_CLASS, TOKEN_ENDING = TokenClass(), TokenEnding()
