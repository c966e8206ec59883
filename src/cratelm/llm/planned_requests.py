"""What would be sent: a stand-in for a judge that counts its questions, answers none of them, and sends nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cratelm.llm.model import Shares

CHARACTERS = 4
"""Characters in a token of English, about."""


@dataclass(frozen=True)
class Plan:
    """What will be sent, before anything is. What the file of answers holds already is not sent again."""

    requests: int
    tokens: int
    """Of prompts, at CHARACTERS each, and of the longest answers that are let in."""
    price: float
    """In the currency of the price that was given."""

    def __str__(self) -> str:
        cost = f", price {self.price:.2f}" if self.price else ""
        return f"{self.requests:,} requests, about {self.tokens:,} tokens{cost}. Nothing was sent."


class Planned:
    """A judge that can do everything, and whose every answer is useless."""

    def __init__(self, max_tokens: int | None = None) -> None:
        """`max_tokens` is JudgeConfig.llm_max_tokens."""
        self.name, self.cannot, self._max_tokens = "a plan", {}, max_tokens
        self._asked: dict[tuple, int] = {}

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str]]:
        """Count, as LanguageModel.texts is asked."""
        for prompt_index, prompt in enumerate(prompts):
            self._asked[prompt, limit] = len(prompt) // CHARACTERS + (self._max_tokens or limit)
            yield prompt_index, ""

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """Count, as LanguageModel.digits is asked."""
        for prompt_index, (prompt, at) in enumerate(zip(prompts, places, strict=True)):
            self._asked[prompt, tuple(at)] = len(prompt) // CHARACTERS + (list(at) == [len(prompt)])
            yield prompt_index, [None] * len(at)

    def plan(self, price: float) -> Plan:
        """What was asked so far, each question once; `price` is that of a million tokens."""
        tokens = sum(self._asked.values())
        return Plan(len(self._asked), tokens, tokens * price / 1e6)
