"""Text of data made safe and visible: it is shown, never obeyed."""

import unicodedata

MARKS = {"\n": "↵", "\t": "⇥", "\r": "␍"}


def visible(text: str) -> str:
    """The text with whitespace other than blanks as marks, and control and direction characters as their numbers."""
    return "".join(MARKS.get(character) or _named(character) for character in text)


def _named(character: str) -> str:
    # Category C holds controls, escapes and direction overrides: what could act on a terminal or a page.
    return f"<U+{ord(character):04X}>" if unicodedata.category(character).startswith("C") else character
