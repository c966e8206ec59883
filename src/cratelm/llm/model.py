"""What a judge is asked for: text, or how likely each digit is at chosen places of a prompt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

DIGITS = "0123456789"
"""The scale that judges speak in: each a single token, which "10" is for few tokenizers."""
STOP = "\n\n"
"""Ends an answer in text."""

Shares = list[list[float] | None]
"""For each place of one prompt, the probabilities of DIGITS, adding up to 1; None where the model named no digit."""


@dataclass(frozen=True)
class Failure:
    """An answer that cannot be used, and why. What stands before a colon in the reason is counted together."""

    reason: str


class LanguageModel(Protocol):
    """A judge. Answers come as they are ready, each with the number of its prompt, so that none is lost on the way."""

    name: str
    """Says which model this is; part of the cache's keys."""
    cannot: dict[str, str]
    """What it cannot serve, `places`, `next` or `text`, with the reason."""

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str | Failure]]:
        """What follows each prompt, up to STOP or `limit` tokens, reasoning left out; a Failure without any words."""
        ...

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """The shares of DIGITS just before the characters at `places` of each prompt.

        A place at the prompt's end asks for what comes next (`next`); any other for what could have stood there
        (`places`).
        """
        ...
