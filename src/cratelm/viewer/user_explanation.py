"""A person's own explanation: words that a unit should fire on, each with a strength; simulated and scored like any."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cratelm.errors import InputError
from cratelm.explain.explainer import Explanations
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.registry import metrics_named
from cratelm.viewer.json_numbers import significant_number
from cratelm.viewer.viewed_study import ViewedModel

MOST = 100
"""Words in an explanation."""


@dataclass(frozen=True)
class OwnWords:
    """Expects a strength on every token that is a part of one of the words, and nothing elsewhere."""

    strengths: dict[str, float]
    """By word, in lower case."""
    texts: Sequence[str]
    """The vocabulary's tokens."""

    @classmethod
    def parse(cls, text: str, texts: Sequence[str]) -> Self:
        """Words with commas or new lines between them, each with `=STRENGTH` after it where that is not 1.

        Where there is no comma and no new line, blanks separate words. Quotation marks keep together what is between
        them: "two words". Raises InputError where there is no word, too many, or no number after the sign.
        """
        strengths = dict(_word(part) for part in _parts(text))
        if not 1 <= len(strengths) <= MOST:
            raise InputError(f'give 1 to {MOST} words, such as: one, two=0.8, two words=0.5 or: one two "two words"')
        return cls(strengths, texts)

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The strength expected on each of tokens (rows, T), whatever the unit: (rows, T)."""
        return np.array([self._on(row) for row in tokens.tolist()]).reshape(tokens.shape)

    def found_in(self, tokens: list[int]) -> set[str]:
        """Those of the words that occur in a series of tokens."""
        text = "".join(self._pieces(tokens))
        return {word for word in self.strengths if _occurrence(word).search(text)}

    def _pieces(self, tokens: list[int]) -> list[str]:
        return [self.texts[token].lower() for token in tokens]

    def _on(self, tokens: list[int]) -> list[float]:
        pieces = self._pieces(tokens)
        ends = np.cumsum([len(piece) for piece in pieces])
        expected = np.zeros(len(tokens))
        text = "".join(pieces)
        for word, strength in self.strengths.items():
            for match in _occurrence(word).finditer(text):
                # By characters: a word may begin or end within a token, and lie across several.
                first, last = np.searchsorted(ends, [match.start(), match.end() - 1], side="right")
                expected[first : last + 1] = np.maximum(expected[first : last + 1], strength)
        return expected.tolist()

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """The words as a sentence."""
        return "fires on " + ", ".join(f"{word!r} {strength:g}" for word, strength in self.strengths.items())


QUOTED = r'"[^"\n]+"'
PART = re.compile(rf"(?P<word>{QUOTED}|.+?)(?:=(?P<strength>[^=]*))?")


def _occurrence(word: str) -> re.Pattern[str]:
    """A word by itself, whatever tokens it is cut into."""
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")


def _parts(text: str) -> list[str]:
    """A text cut at its commas and new lines, or where it has none at its blanks, but never between quotation marks."""
    ends = r",\n" if re.search(r"[,\n]", re.sub(QUOTED, "", text)) else r"\s"
    return [part for found in re.findall(rf"(?:{QUOTED}|[^{ends}])+", text) if (part := found.strip())]


def _word(part: str) -> tuple[str, float]:
    match = PART.fullmatch(part)
    if match is None or match["strength"] is None:
        return _unquoted(part), 1.0
    try:
        strength = float(match["strength"])
    except ValueError as error:
        raise InputError(f"{part!r}: after = comes a strength, such as two=0.8.") from error
    if not 0 < strength <= 100:
        raise InputError(f"{part!r}: a strength is above 0 and at most 100.")
    return _unquoted(match["word"].strip()), strength


def _unquoted(word: str) -> str:
    return (word[1:-1] if re.fullmatch(QUOTED, word) else word).lower()


def score_explanation(
    model: ViewedModel, layer: int, unit: int, explanation: Explanations, metrics: str | None = None
) -> list[dict[str, Any]]:
    """One unit's scores under an explanation, by some metrics with commas between, or by all that the study has.

    Rows like the study's.
    """
    config, protocol = model.scores.config, model.protocol
    by_evidence = dict.fromkeys(protocol.shown, explanation)
    inputs = LayerInputs(model.records, layer, protocol, by_evidence, np.array([unit]), config["seed"])
    rows = []
    for metric in metrics_named(metrics or config["metric"]):
        if protocol.has(metric.name) and "explainer" in metric.roles and metric.in_words:
            scored = metric.compute(inputs)
            few = max(100, config["replicates"] // 5)
            ends = scored.unit_intervals(few, config["seed"]) if metric.unit_intervals else scored.no_intervals()
            (row,) = scored.rows(layer, "yours", metric.name, metric.missing(protocol), ends).to_pylist()
            numbers = {
                name: None if row[name] is None else significant_number(row[name]) for name in ("score", "low", "high")
            }
            rows.append({name: row[name] for name in ("explainer", "metric", "status", "failed")} | numbers)
    return rows
