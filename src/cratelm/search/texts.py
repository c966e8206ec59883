"""What is searched of a unit: the explanations of every explainer, and the tokens that it fires most on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.explain.explainers.table import OTHER, TABLE
from cratelm.explain.registry import EXPLAINERS
from cratelm.parquet import read_table
from cratelm.score.metric import OPENAI
from cratelm.viewer.viewed_study import ViewedModel

TOP = 25
"""Tokens of a unit, the strongest first, that its vector is the mean of."""
SHOWN = 8
"""Of them, those that a result lists."""
TOP_TOKENS = "top tokens"
WORD = re.compile(r" [^\W\d_]{2,}|[A-Z][^\W\d_]{2,}|\s?\d+|\s?[^\w\s]+")
"""Tokens that mean something by themselves: whole words, numbers, punctuation."""
PIECE = re.compile(r"'[a-z]{1,}'")
"""A piece of a word as explanations quote it."""
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
NOTATION = re.compile(r"[\d.%→()\"'=;:,\[\]]+")


@dataclass(frozen=True)
class Said:
    """One text about a unit."""

    unit: int
    text: str
    """As it is shown."""
    words: tuple[str, ...]
    """What it means is the mean of these, weighted."""
    weights: tuple[float, ...]


def texts_of_layer(model: ViewedModel, layer: int) -> dict[str, list[Said]]:
    """The texts about a layer's units by who says them: `top tokens`, and the explainers that are no controls."""
    sentences = model.sentences(layer)
    found = {TOP_TOKENS: _top_tokens(model, layer)}
    for name in model.explainers:
        if EXPLAINERS[name].role == "explainer":
            said = ((unit, text) for unit, text in enumerate(sentences.get(name, [])) if text and not is_cut_up(text))
            found[name] = [Said(unit, text, (meant(text),), (1.0,)) for unit, text in said]
    return {name: texts for name, texts in found.items() if texts}


def is_cut_up(text: str) -> bool:
    """Whether an explanation quotes more pieces of words than anything else: what it means, they do not tell."""
    return 2 * len(PIECE.findall(text)) > len(QUOTED.findall(text))


def meant(text: str) -> str:
    """An explanation without its numbers, and without the pieces of words that it quotes."""
    return " ".join(NOTATION.sub(" ", PIECE.sub(" ", text)).split())


def _top_tokens(model: ViewedModel, layer: int) -> list[Said]:
    path = model.explanations.path / str(TABLE.file(OPENAI, layer))
    if not path.is_file():  # the study has no explainer `table`
        return []
    table = read_table(path)
    unit, token, mean = (table[name].to_numpy() for name in ("unit", "token", "mean"))
    kept = (token != OTHER) & (mean > 0)
    order = np.lexsort((token[kept], -mean[kept], unit[kept]))
    unit, token, mean = unit[kept][order], token[kept][order], mean[kept][order]
    cuts = np.flatnonzero(np.diff(unit)) + 1
    parts = zip(np.split(unit, cuts), np.split(token, cuts), np.split(mean, cuts), strict=True)
    units = ((int(of[0]), tokens[:TOP], means[:TOP]) for of, tokens, means in parts if len(of))
    listed = (_of_unit(*one, model.texts) for one in units)
    return [said for said in listed if said is not None]


def _of_unit(unit: int, tokens: np.ndarray, means: np.ndarray, texts: Sequence[str]) -> Said | None:
    """A unit's top tokens, unless pieces of words have more than half of their activation."""
    words = [(texts[token], float(mean)) for token, mean in zip(tokens, means, strict=True)]
    whole = [(text.strip(), mean) for text, mean in words if WORD.fullmatch(text)]
    if not whole or 2 * sum(mean for _, mean in whole) < means.sum():
        return None
    shown = " ".join(repr(text) for text, _ in words[:SHOWN])
    return Said(unit, shown, tuple(text for text, _ in whole), tuple(mean for _, mean in whole))
