"""An explanation in a person's own sentence, read by a language model and scored like any other.

A judge in this process takes about a second for an excerpt, so it reads those of one metric alone: 5 excerpts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from cratelm.errors import InputError, RunError
from cratelm.judges.sentences import Reader, Sentences
from cratelm.judges.simulators import simulate
from cratelm.llm.cache import Answers, Cached
from cratelm.llm.config import AskingConfig, JudgeConfig, open_judge
from cratelm.progress import Progress
from cratelm.protocols import ENDPOINT
from cratelm.score.config import ScoreConfig
from cratelm.viewer.user_explanation import score_explanation
from cratelm.viewer.viewed_study import ViewedModel, without_address


class Judge:
    """A language model that reads sentences; the page learns its model's name and nothing else of it."""

    def __init__(self, config: JudgeConfig, asking: AskingConfig, simulator: str, tell: Callable[[str], None]) -> None:
        """Open it; `tell` shows what goes wrong later to whoever runs the viewer.

        Raises InputError where there is no such judge, or it cannot serve the simulator; RunError where its server
        does not answer.
        """
        self._simulator = ScoreConfig(simulator=simulator).simulator
        opened = open_judge(config, asking)
        simulate(simulator, opened, [])  # refuses what the judge cannot serve
        self._model, self._answers, self._tell = opened.model, asking.answers, tell
        self._max_tokens = config.llm_max_tokens
        self.name = without_address(opened.name)

    def score(self, model: ViewedModel, layer: int, unit: int, sentence: str) -> dict[str, Any]:
        """One unit's score under a sentence, and how many of its excerpts the judge failed on, by reason.

        Raises NoAnswer where the judge breaks down.
        """
        with Progress(Console(quiet=True)) as progress, progress.task("reading") as bar:
            # A connection to the file of answers belongs to one thread, and each request runs in another.
            cached = Cached(self._model, Answers(self._answers), self._max_tokens)
            reader = Reader(self._simulator, cached, model.texts, bar)
            highest = model.statistics(layer, model.protocol.explained_on)["maximum"]
            said = _Once(Sentences({unit: sentence}, frozenset(), highest, reader), self._tell)
            scores = score_explanation(model, layer, unit, said, ENDPOINT.metric)
        return {
            "judge": self.name,
            "explanation": sentence,
            "scores": scores,
            "answers": reader.answers,
            "failures": dict(reader.failures),
        }


class _Once:
    """Sentences that are read once: the control of a unit that stands alone is the unit itself."""

    def __init__(self, sentences: Sentences, tell: Callable[[str], None]) -> None:
        self._sentences, self._tell = sentences, tell
        self._known: dict[bytes, np.ndarray] = {}

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """As Explanations.simulate."""
        key = tokens.tobytes()
        if key not in self._known:
            try:
                self._known[key] = self._sentences.simulate(unit, tokens, place)
            except (InputError, RunError) as error:
                self._tell(f"The judge: {error}")  # which may name the server's address
                raise NoAnswer from error
        return self._known[key]

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """As Explanations.describe."""
        return self._sentences.describe(unit, texts)


class NoAnswer(Exception):
    """The judge broke down."""

    def __str__(self) -> str:
        return "the judge gave no answer. The terminal that runs cratelm view says why."
