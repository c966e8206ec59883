"""One unit, whole: what was recorded of it, what is said of it, how well that was scored, and what it writes."""

from typing import Any

import numpy as np

from cratelm.records.one_unit import Group, read_groups
from cratelm.viewer.json_numbers import significant
from cratelm.viewer.simulated_excerpts import correlations, explanations_of, simulated
from cratelm.viewer.viewed_study import ViewedModel

STATISTICS = ("firing_rate", "maximum", "mean", "variance", "skewness", "kurtosis", "token_share", "position_share")


def unit_document(model: ViewedModel, layer: int, unit: int) -> dict[str, Any]:
    """Everything of one unit but what its weights say; tokens of excerpts are places in `texts`."""
    used: dict[int, int] = {}
    groups = read_groups(model.records, layer, [unit])
    excerpts = [row for group in groups for row in _rows(model, layer, group, used)]
    return unit_facts(model, layer, unit) | {"texts": [model.texts[token] for token in used], "excerpts": excerpts}


def unit_facts(model: ViewedModel, layer: int, unit: int) -> dict[str, Any]:
    """Everything of one unit but its excerpts and what its weights say."""
    site = model.sites[layer]
    return {
        "model": model.name,
        "layer": layer,
        "unit": unit,
        "units": site.units,
        "site": site.name,
        "signed": site.signed,
        "explained_on": model.protocol.explained_on,
        "scored_on": model.protocol.scored_on,
        "statistics": _statistics(model, layer, unit),
        "context": _context(model, layer, unit),
        "explanations": {name: said for name, rows in model.sentences(layer).items() if (said := rows[unit])},
        "scores": _scores(model, layer, unit),
    }


def _rows(model: ViewedModel, layer: int, group: Group, used: dict[int, int]) -> list[dict[str, Any]]:
    """A group's excerpts, each with its simulations; `used` numbers the tokens in the order in which they come."""
    excerpts = group.excerpts
    expected = simulated(explanations_of(model, layer, group.length), excerpts)
    matches = {name: significant(correlations(excerpts.activations, row), 2) for name, row in expected.items()}
    truth = significant(excerpts.activations)
    shown = {name: significant(row) for name, row in expected.items()}
    return [
        {
            "half": group.half,
            "kind": group.kind,
            "length": group.length,
            "interval": int(excerpts.interval[row]),
            "document": int(excerpts.document[row]),
            "start": int(excerpts.start[row]),
            "place": int(excerpts.place[row]),
            "tokens": [used.setdefault(token, len(used)) for token in excerpts.tokens[row].tolist()],
            "activations": truth[row],
            "simulated": {name: values[row] for name, values in shown.items()},
            "correlation": {name: values[row] for name, values in matches.items()},
        }
        for row in range(len(excerpts.unit))
    ]


def _context(model: ViewedModel, layer: int, unit: int) -> dict[str, Any] | None:
    """How much of it the last tokens tell; None where that is not known."""
    known = model.context(layer).get(unit)
    return known and known | {"r2": significant(np.array(known["r2"], float))}


def _statistics(model: ViewedModel, layer: int, unit: int) -> dict[str, dict[str, Any]]:
    """By half."""
    by_half = {}
    for half in dict.fromkeys((model.protocol.explained_on, model.protocol.scored_on)):
        columns = model.statistics(layer, half)
        numbers = significant(np.array([columns[name][unit] for name in STATISTICS]))
        by_half[half] = dict(zip(STATISTICS, numbers, strict=True)) | {
            "histogram": np.asarray(columns["histogram"][unit]).tolist()
        }
    return by_half


def _scores(model: ViewedModel, layer: int, unit: int) -> list[dict[str, Any]]:
    columns = model.layer_scores(layer)
    rows = np.flatnonzero(columns["unit"] == unit)
    texts = {name: columns[name][rows].tolist() for name in ("explainer", "metric", "status")}
    numbers = {
        name: significant(columns[name][rows])
        for name in ("score", "low", "high", "shuffled", "failed")
        if name in columns
    }
    named = texts | numbers
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
