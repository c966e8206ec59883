"""Planted units that depend on more than the last three tokens, or on what kind of token it is.

They are written plainly, column by column, and share no code with the explainers that look for them. What stands before
an excerpt is unknown to them too.
"""

from collections.abc import Callable

import numpy as np

Rule = Callable[[np.ndarray, np.ndarray, list[str]], np.ndarray]
"""From tokens (rows, T), place of the first (rows,) and each token's text to where the unit fires, (rows, T) bool."""
NEAR, SEEN, LATE, THIRD = 6, 30, 40, 2


def fires_in(tokens: np.ndarray, texts: list[str], wanted: Callable[[str], bool]) -> np.ndarray:
    """Where a token's text is wanted: (rows, T) bool."""
    return np.array([wanted(text) for text in texts])[tokens]


def earlier(holds: np.ndarray, by: int = 1) -> np.ndarray:
    """What held so many tokens earlier, false before the first: (rows, T) bool."""
    moved = np.zeros(holds.shape, bool)
    moved[:, by:] = holds[:, :-by]
    return moved


def _ending(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    return fires_in(tokens, texts, lambda text: text.strip().isalpha() and len(text) > 5 and text.endswith("ing"))


def _inner_capital(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    capital = fires_in(tokens, texts, lambda text: text.strip()[:1].isupper())
    stop = fires_in(tokens, texts, lambda text: text.strip() in (".", "!", "?"))
    return capital & ~earlier(stop)


def _after_number(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    return earlier(fires_in(tokens, texts, lambda text: text.strip().isdigit()))


def _in_brackets(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    opens, closes = (fires_in(tokens, texts, lambda text, mark=mark: mark in text) for mark in "()")
    fires, inside = np.zeros(tokens.shape, bool), np.zeros(len(tokens), bool)
    for column in range(tokens.shape[1]):
        fires[:, column] = inside & ~closes[:, column]
        inside = (inside | opens[:, column]) & ~closes[:, column]
    return fires


def _in_quotes(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    mark, line = (fires_in(tokens, texts, lambda text, part=part: part in text) for part in ('"', "\n"))
    fires, inside = np.zeros(tokens.shape, bool), np.zeros(len(tokens), bool)
    for column in range(tokens.shape[1]):
        fires[:, column] = inside & ~mark[:, column]
        inside = (inside ^ mark[:, column]) & ~line[:, column]
    return fires


def _seen(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    fires = np.zeros(tokens.shape, bool)
    for by in range(1, SEEN + 1):
        fires[:, by:] |= tokens[:, by:] == tokens[:, :-by]
    return fires


def _followed(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    fires = np.zeros(tokens.shape, bool)
    for row, text in enumerate(tokens.tolist()):
        followed_by: dict[int, int] = {}
        for column in range(1, len(text)):
            fires[row, column] = followed_by.get(text[column - 1]) == text[column]
            followed_by[text[column - 1]] = text[column]
    return fires


def _third_of_line(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    line = fires_in(tokens, texts, lambda text: "\n" in text)
    first = earlier(line)
    first[:, 0] |= place == 0
    return earlier(first, THIRD) & ~earlier(line) & ~earlier(line, THIRD)


def _the_after_not(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    wanted = fires_in(tokens, texts, lambda text: text == " not")
    near = np.logical_or.reduce([earlier(wanted, by) for by in range(1, NEAR + 1)])
    return fires_in(tokens, texts, lambda text: text == " the") & near


def _late_comma(tokens: np.ndarray, place: np.ndarray, texts: list[str]) -> np.ndarray:
    late = place[:, None] + np.arange(tokens.shape[1]) >= LATE
    return fires_in(tokens, texts, lambda text: text == ",") & late


CONTEXT_PLANTED: dict[str, Rule] = {
    "an ending": _ending,
    "capitals inside a sentence": _inner_capital,
    "after a number": _after_number,
    "inside brackets": _in_brackets,
    "inside quotation marks": _in_quotes,
    "a token seen before": _seen,
    "what followed before": _followed,
    "the third token of a line": _third_of_line,
    "a word soon after another": _the_after_not,
    "a comma late in the text": _late_comma,
}
