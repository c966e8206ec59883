"""Explanations in words, and the judge that reads them: what the LLM-free explainers are, as far as scoring can see."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cratelm.judges import prompts
from cratelm.judges.choices import choose
from cratelm.judges.simulators import Question, simulate
from cratelm.llm.model import Failure, LanguageModel
from cratelm.progress import Bar

NEVER_FIRES = "never fires on the text it was shown"
AT_ONCE = 1024
"""Questions handed to the judge together."""


@dataclass
class Reader:
    """A judge that simulates by one of SIMULATORS, and how its answers failed so far."""

    simulator: str
    model: LanguageModel
    texts: Sequence[str]
    """The text of each token of the vocabulary."""
    bar: Bar
    failures: Counter[str] = field(default_factory=Counter)
    """How often each reason made an answer useless."""
    answers: int = 0

    def choose(self, asked: Sequence[str], options: str) -> np.ndarray:
        """The digit chosen after each prompt, NaN where the answer failed: (prompts,)."""
        digits = np.full(len(asked), np.nan)
        for prompt_index, answer in choose(self.model, asked, options):
            self._count(answer)
            digits[prompt_index] = np.nan if isinstance(answer, Failure) else answer
        return digits

    def _count(self, answer: object) -> None:
        if isinstance(answer, Failure):
            self.failures[answer.reason.split(":")[0]] += 1
        self.answers += 1
        self.bar.advance(note=f"{self.failures.total()} failed" if self.failures else "")

    def read(self, questions: Sequence[Question]) -> dict[int, list[float] | None]:
        """The simulation of each question by its number; None where it failed."""
        simulations: dict[int, list[float] | None] = {}
        for begin in range(0, len(questions), AT_ONCE):
            for question_index, answer in simulate(self.simulator, self.model, questions[begin : begin + AT_ONCE]):
                self._count(answer)
                simulations[begin + question_index] = None if isinstance(answer, Failure) else answer
        return simulations


@dataclass(frozen=True)
class Sentences:
    """What a language model says of some units of a layer, read by a judge."""

    sentence: dict[int, str | None]
    """By unit; None where its explanation failed."""
    silent: frozenset[int]
    """Units that were shown nothing because they never fired."""
    highest: np.ndarray
    """(units,): the explain half's maximum, which a strength of 9 means."""
    reader: Reader

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T): (rows, T); NaN in a row that failed."""
        simulated = np.full(tokens.shape, np.nan)
        simulated[np.isin(unit, list(self.silent))] = 0
        asked = [row for row, unit_id in enumerate(unit.tolist()) if self.sentence.get(unit_id) is not None]
        questions = [Question(str(self.sentence[int(unit[row])]), self._text(tokens[row])) for row in asked]
        for question_index, answer in self.reader.read(questions).items():
            if answer is not None:
                row = asked[question_index]
                simulated[row] = np.array(answer) / 9 * self.highest[unit[row]]
        return simulated

    def verdicts(self, unit: np.ndarray, tokens: np.ndarray, marked: np.ndarray) -> np.ndarray:
        """Whether units (rows,) fire on the marked tokens of texts (rows, T): 1 or 0, NaN where that failed. (rows,)"""
        fires = np.full(len(unit), np.nan)
        fires[np.isin(unit, list(self.silent))] = 0
        asked = [row for row, unit_id in enumerate(unit.tolist()) if self.sentence.get(unit_id) is not None]
        questions = [
            prompts.detection(str(self.sentence[int(unit[row])]), self._text(tokens[row]), marked[row].tolist())
            for row in asked
        ]
        fires[asked] = self.reader.choose(questions, "01")
        return fires

    def intruders(self, tokens: np.ndarray) -> np.ndarray:
        """Whether the first of each line-up (trials, texts, T) is found among the others: 1 or 0, NaN where it failed.

        The first is put elsewhere, by its trial's number, before the judge sees it.
        """
        places = np.arange(len(tokens)) * 3 % tokens.shape[1]
        asked = []
        for texts, place in zip(tokens, places.tolist(), strict=True):
            rest = [self._text(text) for text in texts[1:]]
            asked.append(prompts.intruder([*rest[:place], self._text(texts[0]), *rest[place:]]))
        chosen = self.reader.choose(asked, "12345"[: tokens.shape[1]])
        return np.where(np.isnan(chosen), np.nan, chosen == places + 1)

    def _text(self, tokens: np.ndarray) -> tuple[str, ...]:
        return tuple(self.reader.texts[token] for token in tokens)

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """One unit's explanation."""
        return NEVER_FIRES if unit in self.silent else self.sentence.get(unit) or "an explanation that failed"
