"""A layer's units as one list: what a page needs to sort, filter and search them all."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cratelm.explain.explainers.table import OTHER, TABLE
from cratelm.parquet import read_table
from cratelm.protocols import ENDPOINT
from cratelm.records.context import LAST
from cratelm.score.metric import OPENAI
from cratelm.score.scored import STATUS
from cratelm.viewer.json_numbers import significant
from cratelm.viewer.sentence_starts import sentence_starts
from cratelm.viewer.viewed_study import LAYERS_KEPT, ViewedModel

TOKENS = 6
"""A unit's top tokens that stand in the list."""
COLUMNS = ("firing", "maximum", "token_share", "reach", "starts", "sentences", "tokens", "scores")
"""What has a value for each unit; `sentences` and `scores` by name."""


def layer_document(model: ViewedModel, layer: int) -> dict[str, Any]:
    """Columns over all units of a layer; a unit's number is its place in each.

    `scores` are by explainer and metric, `status` holds for each the units that could not be scored. `tokens` are
    places in `texts`. `reach` is a place in `last`: the fewest last tokens that tell enough of a unit, or the length of
    `last` where the most are not enough. A unit that a language model was not asked about has no score of `llm`, and
    no status.
    """
    site = model.sites[layer]
    scored_on, shown = (model.statistics(layer, half) for half in _halves(model))
    tokens, texts = top_tokens(model, layer)
    return {
        "model": model.name,
        "layer": layer,
        "site": site.name,
        "units": site.units,
        "protocol": model.protocol_name,
        "primary": ENDPOINT.metric,
        "firing": significant(scored_on["firing_rate"]),
        "maximum": significant(shown["maximum"]),
        "token_share": significant(scored_on["token_share"]),
        "reach": _reach(model, layer, site.units),
        "last": list(LAST),
        "starts": significant(sentence_starts(model, layer)),
        "sentences": model.sentences(layer),
        "tokens": tokens,
        "texts": texts,
        **_scores(model, layer, site.units),
    }


def some_units(document: dict[str, Any], units: Sequence[int]) -> dict[str, Any]:
    """A layer's document with nothing of the units that are not among `units`; its columns keep their length."""
    if len(units) == document["units"]:
        return document
    kept = set(units)

    def without_others(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without_others(item) for name, item in value.items()}
        return [item if unit in kept else None for unit, item in enumerate(value)]

    def listed_alone(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: listed_alone(item) for name, item in value.items()}
        return [unit for unit in value if unit in kept]

    columns = {name: without_others(document[name]) for name in COLUMNS}
    return document | columns | {"status": listed_alone(document["status"]), "only": list(units)}


def _halves(model: ViewedModel) -> tuple[str, str]:
    return model.protocol.scored_on, model.protocol.explained_on


def _reach(model: ViewedModel, layer: int, units: int) -> list[int | None]:
    """How far back each unit reads; None where that was not measured."""
    known = model.context(layer)
    found = {unit: row["reach"] for unit, row in known.items()}
    return [None if unit not in found else _place_of(found[unit]) for unit in range(units)]


def _place_of(reach: int | None) -> int:
    return len(LAST) if reach is None else LAST.index(reach)


def _scores(model: ViewedModel, layer: int, units: int) -> dict[str, Any]:
    columns = model.layer_scores(layer)
    scores: dict[str, dict[str, list[float | None]]] = {}
    status: dict[str, dict[str, dict[str, list[int]]]] = {}
    for explainer in model.explainers:
        mine = columns["explainer"] == explainer
        for metric in dict.fromkeys(columns["metric"][mine].tolist()):
            rows = np.flatnonzero(mine & (columns["metric"] == metric))
            values = np.full(units, np.nan)
            values[columns["unit"][rows]] = columns["score"][rows]
            scores.setdefault(explainer, {})[metric] = significant(values)
            status.setdefault(explainer, {})[metric] = _unscored(columns, rows)
    return {"scores": scores, "status": status}


def said_of(model: ViewedModel, layer: int, unit: int) -> dict[str, str | None]:
    """What the first explainer says of a unit, and the token that it fires most on; None where that is not known."""
    sentences = next(iter(model.sentences(layer).values()), None)
    tokens, texts = top_tokens(model, layer)
    top = texts[tokens[unit][0]] if tokens[unit] else None
    return {"explanation": None if sentences is None else sentences[unit], "top": top}


def _unscored(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, list[int]]:
    statuses = columns["status"][rows]
    return {name: columns["unit"][rows[statuses == name]].tolist() for name in STATUS[1:] if (statuses == name).any()}


@lru_cache(maxsize=LAYERS_KEPT)
def top_tokens(model: ViewedModel, layer: int) -> tuple[list[list[int]], list[str]]:
    """The tokens that each unit fires most on, in the excerpts that explainers are shown, and their texts."""
    units = model.sites[layer].units
    path = model.explanations.path / str(TABLE.file(OPENAI, layer))
    if not path.is_file():  # the study has no explainer `table`
        return [[] for _ in range(units)], []
    table = read_table(path)
    unit, token, mean = (table[name].to_numpy() for name in ("unit", "token", "mean"))
    highest = np.zeros(units)
    named = token != OTHER
    np.maximum.at(highest, unit[named], mean[named])
    kept = named & (mean > 0) & (mean >= 0.1 * highest[unit])
    unit, token, mean = unit[kept], token[kept], mean[kept]
    order = np.lexsort((token, -mean, unit))
    unit, token = unit[order], token[order]
    # The units are sorted, so searchsorted gives where each begins.
    rank = np.arange(len(unit)) - np.searchsorted(unit, unit)
    unit, token = unit[rank < TOKENS], token[rank < TOKENS]
    used, place = np.unique(token, return_inverse=True)
    cuts = np.searchsorted(unit, np.arange(1, units))
    return [part.tolist() for part in np.split(place, cuts)], [model.texts[token_id] for token_id in used]
