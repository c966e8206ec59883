"""Puzzles: units with a known explanation, written by hand, and what an explainer makes of them.

A puzzle is a handful of sentences with activations, the explanation that made them, and false ones that come close.
A sentence marks what the unit fires on: `We open on [Monday|9] at noon.`
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from cratelm.errors import InputError
from cratelm.explain.explain import Explanations, make_explanations
from cratelm.records.store import Excerpts
from cratelm.stats import pearson

MARK = re.compile(r"\[([^\[\]|]+)\|(\d+)\]")
TOKEN = re.compile(r"\s?\w+|\s?[^\w\s]")
BREAK = "\n"
"""Fills sentences up to one length."""


@dataclass(frozen=True)
class Sentence:
    """A sentence as a unit sees it."""

    tokens: list[str]
    activations: list[float]


@dataclass(frozen=True)
class Puzzle:
    """A unit whose explanation is known."""

    name: str
    explanation: str
    false_explanations: list[str]
    sentences: list[Sentence]


def read_puzzles(path: Path | None = None) -> list[Puzzle]:
    """The package's own puzzles, or those of a file of the same form; InputError names what is wrong with it."""
    source = files("cratelm.validate").joinpath("puzzles.json") if path is None else path
    try:
        units = json.loads(source.read_text(encoding="utf-8"))["units"]
        return [_puzzle(unit) for unit in units]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{source} holds no puzzles ({type(error).__name__}: {error}). Each of its `units` needs name, "
            "explanation, false_explanations and sentences, the sentences with marks such as [Monday|9]."
        ) from error


def _puzzle(unit: dict) -> Puzzle:
    sentences = [parse_sentence(text) for text in unit["sentences"]]
    if len(sentences) < 2 or not any(any(sentence.activations) for sentence in sentences):
        raise ValueError(f"the puzzle {unit['name']!r} has too few sentences, or none that it fires on")
    return Puzzle(unit["name"], unit["explanation"], list(unit["false_explanations"]), sentences)


def parse_sentence(text: str) -> Sentence:
    """A marked sentence as tokens, words with the space before them, and their activations."""
    plain, strength, end = "", [], 0
    for mark in MARK.finditer(text):
        plain += text[end : mark.start()] + mark[1]
        strength += [0.0] * (mark.start() - end) + [float(mark[2])] * len(mark[1])
        end = mark.end()
    plain += text[end:]
    strength += [0.0] * (len(text) - end)
    spans = [token.span() for token in TOKEN.finditer(plain)]
    return Sentence([plain[slice(*span)] for span in spans], [max(strength[slice(*span)]) for span in spans])


@dataclass(frozen=True)
class Found:
    """What an explainer made of one unit."""

    name: str
    correlation: float
    """Of truth and simulation on text that the explainer was not shown."""
    control: float
    """The same with the explanation of another unit."""
    recovered: bool


RECOVERED = 0.7
"""The correlation from which a unit counts as recovered."""


def solve_puzzles(explainer: str, puzzles: Sequence[Puzzle]) -> list[Found]:
    """Explain each puzzle from all of its sentences but one, and simulate that one, in turn."""
    vocabulary = {BREAK: 0}
    for puzzle in puzzles:
        for sentence in puzzle.sentences:
            for token in sentence.tokens:
                vocabulary.setdefault(token, len(vocabulary))
    found = []
    for number, puzzle in enumerate(puzzles):
        other = explain_sentences(explainer, puzzles[number - 1].sentences, vocabulary)
        truth, own, control = [], [], []
        for held_out, sentence in enumerate(puzzle.sentences):
            shown = [other for place, other in enumerate(puzzle.sentences) if place != held_out]
            made = explain_sentences(explainer, shown, vocabulary)
            truth += sentence.activations
            own += _simulate(made, sentence, vocabulary)
            control += _simulate(other, sentence, vocabulary)
        r = pearson(truth, own)
        found.append(Found(puzzle.name, r, pearson(truth, control), r >= RECOVERED))
    return found


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
    return make_explanations(explainer, shown, len(vocabulary), seed=0)


def _simulate(made: Explanations, sentence: Sentence, vocabulary: dict[str, int]) -> list[float]:
    tokens = np.array([[vocabulary[token] for token in sentence.tokens]])
    zero = np.zeros(1, np.int64)
    return made.simulate(zero, tokens, zero)[0].tolist()
