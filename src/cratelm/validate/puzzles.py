"""What an explainer makes of puzzles (judges/puzzles.py): units whose explanation is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.explainer import Explanations
from cratelm.explain.registry import EXPLAINERS
from cratelm.judges.puzzles import Puzzle, Sentence
from cratelm.records.excerpts import Excerpts
from cratelm.stats import pearson

BREAK = "\n"
"""Fills sentences up to one length."""


@dataclass(frozen=True)
class Recovery:
    """What an explainer made of one unit."""

    name: str
    correlation: float
    """Of truth and simulation on text that the explainer was not shown."""
    control: float
    """The same with the explanation of another unit."""
    recovered: bool


RECOVERED = 0.7
"""The correlation from which a unit counts as recovered."""


def solve_puzzles(explainer: str, puzzles: Sequence[Puzzle]) -> list[Recovery]:
    """Explain each puzzle from all of its sentences but one, and simulate that one, in turn."""
    vocabulary = {BREAK: 0}
    for puzzle in puzzles:
        for sentence in puzzle.sentences:
            for token in sentence.tokens:
                vocabulary.setdefault(token, len(vocabulary))
    recoveries = []
    for puzzle_index, puzzle in enumerate(puzzles):
        # Before the first stands the last, so that each has another's.
        other = explain_sentences(explainer, puzzles[puzzle_index - 1].sentences, vocabulary)
        truth, own, control = [], [], []
        for held_out, sentence in enumerate(puzzle.sentences):
            shown = [other for place, other in enumerate(puzzle.sentences) if place != held_out]
            made = explain_sentences(explainer, shown, vocabulary)
            truth += sentence.activations
            own += _simulate(made, sentence, vocabulary)
            control += _simulate(other, sentence, vocabulary)
        r = pearson(truth, own)
        recoveries.append(Recovery(puzzle.name, r, pearson(truth, control), r >= RECOVERED))
    return recoveries


def explain_sentences(explainer: str, sentences: Sequence[Sentence], vocabulary: dict[str, int]) -> Explanations:
    """The explanation of one unit, number 0, from sentences, filled up with line breaks to one length."""
    rows, width = len(sentences), max(len(sentence.tokens) for sentence in sentences)
    tokens = np.zeros((rows, width), np.int64)
    activations = np.zeros((rows, width), np.float32)
    for row, sentence in enumerate(sentences):
        tokens[row, : len(sentence.tokens)] = [vocabulary[token] for token in sentence.tokens]
        activations[row, : len(sentence.tokens)] = sentence.activations
    nothing = np.zeros(rows, np.int64)
    shown = Excerpts(
        unit=nothing,
        rank=np.arange(rows),
        interval=nothing - 1,
        document=np.arange(rows),
        start=nothing,
        place=nothing,
        tokens=tokens,
        activations=activations,
    )
    return EXPLAINERS[explainer].of_excerpts(shown, list(vocabulary), seed=0)


def _simulate(made: Explanations, sentence: Sentence, vocabulary: dict[str, int]) -> list[float]:
    tokens = np.array([[vocabulary[token] for token in sentence.tokens]])
    zero = np.zeros(1, np.int64)
    return made.simulate(zero, tokens, zero)[0].tolist()
