"""Puzzles: units with a known explanation, written by hand.

A puzzle is a handful of sentences with activations, the explanation that made them, and false ones that come close.
A sentence marks what the unit fires on: `We open on [Monday|9] at noon.`
"""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cratelm.errors import InputError

MARK = re.compile(r"\[([^\[\]|]+)\|(\d+)\]")
TOKEN = re.compile(r"\s?\w+|\s?[^\w\s]")
PUZZLES, HARDER, HELD_OUT = "puzzles.json", "harder_puzzles.json", "held_out_puzzles.json"
"""The package's own: short and mostly of single words; of many kinds of context; and as many of those that no explainer
was developed on. The last two were written before the explainer `rules`."""


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


def read_puzzles(path: Path | None = None, own: str = PUZZLES) -> list[Puzzle]:
    """One of the package's own files of puzzles, or another file of the same form; InputError names what is wrong."""
    source = files("cratelm.judges").joinpath(own) if path is None else path
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
