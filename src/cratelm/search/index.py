"""A layer's units as vectors, and those that are nearest to a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cratelm.search.embedding import Embed, embed, unit_length
from cratelm.search.texts import Said, texts_of_layer
from cratelm.viewer.overview import is_control
from cratelm.viewer.viewed_study import ViewedModel

LAYERS_KEPT = 24
"""Layers whose vectors stay in memory."""


@dataclass(frozen=True)
class Hit:
    """A unit, and the text about it that is nearest to the question."""

    model: str
    layer: int
    unit: int
    score: float
    """The cosine of the text's vector and the question's, both less their means."""
    said_by: str
    """An explainer, or `top tokens`."""
    text: str


class LayerIndex:
    """All texts about a layer's units.

    From each text's vector the mean over the layer is taken away, by who says it: what all explanations of an explainer
    have in common says nothing about a unit. From the question's the mean of the vocabulary is taken away.
    """

    def __init__(self, model: ViewedModel, layer: int, embedding: Embed = embed) -> None:
        """Raises InputError where the embedding is not installed, or a file of the layer is damaged."""
        self._where, self._embed = (model.name, layer), embedding
        self._common = _vocabulary_mean(model, embedding)
        self._said: list[tuple[str, Said]] = []
        parts = []
        for name, texts in texts_of_layer(model, layer).items():
            vectors = _vectors(texts, embedding)
            parts.append(unit_length(vectors - vectors.mean(axis=0)))
            self._said += [(name, said) for said in texts]
        # Kept in 32 bits: a layer of 40,000 units has four texts a unit, a kilobyte each.
        self._vectors = np.concatenate(parts or [np.zeros((0, len(self._common)))]).astype(np.float32)

    def search(self, question: str, count: int) -> list[Hit]:
        """The `count` units that are nearest, each once, the nearest first; equals in the order of their numbers."""
        asked = unit_length(self._embed([question]) - self._common)[0]
        scores = self._vectors @ asked.astype(np.float32)
        hits: dict[int, Hit] = {}
        for place in sorted(range(len(scores)), key=lambda place: (-scores[place], self._said[place][1].unit, place)):
            name, said = self._said[place]
            hits.setdefault(said.unit, Hit(*self._where, said.unit, float(scores[place]), name, said.text))
            if len(hits) == count:
                break
        return list(hits.values())


@lru_cache(maxsize=8)
def _vocabulary_mean(model: ViewedModel, embedding: Embed) -> np.ndarray:
    return embedding([text.strip() for text in model.texts]).mean(axis=0)


def _vectors(texts: Sequence[Said], embedding: Embed) -> np.ndarray:
    """The weighted mean of each text's words (texts, dimensions); a word's vector is computed once."""
    words = list(dict.fromkeys(word for said in texts for word in said.words))
    place = {word: number for number, word in enumerate(words)}
    known = embedding(words)
    return np.stack(
        [np.average(known[[place[word] for word in said.words]], axis=0, weights=said.weights) for said in texts]
    )


@lru_cache(maxsize=LAYERS_KEPT)
def layer_index(model: ViewedModel, layer: int) -> LayerIndex:
    """A layer's index, made when somebody first searches there."""
    return LayerIndex(model, layer)


def search_models(models: Sequence[ViewedModel], question: str, count: int) -> list[Hit]:
    """The units of some models that are nearest to a question; networks before training only if there are no others."""
    searched = [model for model in models if not is_control(model.name)] or models
    layers = [(model, layer) for model in searched for layer in range(len(model.sites))]
    found = [hit for model, layer in layers for hit in layer_index(model, layer).search(question, count)]
    return sorted(found, key=lambda hit: -hit.score)[:count]
