"""What to do about a text with too few documents, in words that end a message."""

import shlex
from collections.abc import Sequence

from cratelm.corpus.config import SIDES, CorpusConfig

FEW = 20
"""With fewer documents than this, a text may be one whose documents were not told apart."""
BLANK_LINES = " In a .txt file, a blank line separates documents."
LARGER_SHARES = "--explain-share 0.4 --score-share 0.4 --validation-share 0.1"
"""Of the documents of a small text, for `cratelm tokenize` and `cratelm study`."""


def blank_lines(documents: int, of_text: bool = True) -> str:
    """How documents of plain text are told apart, where there are so few that they may not have been."""
    return BLANK_LINES if of_text and documents < FEW else ""


def other_shares(config: CorpusConfig, side: str, needed: Sequence[str]) -> str:
    """How to get documents on a side that has none, of the sides that are needed.

    A command that needs every side takes the shares itself. Any other one reads what `cratelm tokenize` made.
    """
    if side == "train":
        return " Give more documents, or smaller shares of the other sides."
    if len(needed) == len(SIDES):
        return f" Give more documents, or larger shares: {LARGER_SHARES}."
    command = shlex.join(["cratelm", "tokenize", config.corpus, "--tokenizer", config.tokenizer])
    advice = "Give more documents, or tokenize with larger shares and give the new folder as the text"
    return f" {advice}: {command} {LARGER_SHARES} --out DIR"
