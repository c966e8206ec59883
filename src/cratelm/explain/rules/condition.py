"""What a rule consists of: conditions, each of a kind that says where it holds and how it reads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.rules.text_view import TextView


@dataclass(frozen=True, order=True)
class Condition:
    """One predicate about a token and the text before it."""

    kind: str
    """A name of KINDS."""
    back: int = 0
    """How many tokens before the current one it looks."""
    window: int = 0
    """A number that the kind gives a meaning."""
    tokens: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Candidates:
    """Conditions that a fit may choose from, and where they hold."""

    conditions: list[Condition]
    condition: np.ndarray
    """(pairs,) int64: a place in `conditions`; each pair is once."""
    position: np.ndarray
    """(pairs,) int64: a place among the text's tokens, row after row."""


class Kind(ABC):
    """Conditions of one kind. Write one in a module of this folder and list it in `kinds.py`; nothing else has to
    change."""

    name: str
    exclusive: bool = False
    """Whether the conditions of one `back` exclude each other and name single tokens, so that several can be one."""

    @abstractmethod
    def candidates(self, view: TextView) -> Candidates:
        """The conditions that some texts suggest."""

    @abstractmethod
    def holds(self, condition: Condition, view: TextView, rows: np.ndarray) -> np.ndarray:
        """Where a condition holds in rows of some texts: (rows, T) bool."""

    @abstractmethod
    def words(self, condition: Condition, texts: Sequence[str]) -> str:
        """The condition in English: "the token is 'a'"."""


def dense_candidates(kind: Kind, conditions: Sequence[Condition], view: TextView) -> Candidates:
    """Candidates of a kind with few conditions: each is looked at everywhere."""
    rows = np.arange(len(view.tokens))
    where = [np.flatnonzero(kind.holds(condition, view, rows)) for condition in conditions]
    condition = np.repeat(np.arange(len(conditions)), [len(positions) for positions in where])
    return Candidates(list(conditions), condition, np.concatenate([np.empty(0, np.int64), *where]))


def named(back: int) -> str:
    """The token so many places before the current one."""
    return ("the token", "the token before", "the second token before", "the third token before")[back]
