"""OpenAI's NeuronRecord (automated-interpretability): `collated-activations/LAYER/UNIT.json`.

Every object carries the name of its dataclass. Activations are raw, top excerpts come by their maximum. Skewness and
kurtosis are standardised.
"""

import json
from pathlib import Path
from typing import Any

from cratelm.export.exported_layer import Layer
from cratelm.records.excerpts import Excerpts
from cratelm.records.paper.stream_windows import ANTHROPIC

MOMENTS = ("mean", "variance", "skewness", "kurtosis")


def write_neuron_records(layer: Layer, folder: Path) -> None:
    """Write a file for each of the layer's units."""
    kinds = [("top", layer.protocol.long), ("random", layer.protocol.long)]
    if not layer.protocol.intervals_of_maximum:
        kinds.append(("interval", ANTHROPIC))
    for unit, (top, random, *quantiles) in layer.unit_excerpts(*kinds):
        record = {
            "neuron_id": {
                "layer_index": layer.number,
                "neuron_index": unit,
                "dataclass_name": "NeuronId",
            },
            "most_positive_activation_records": _records(layer, top),
            "random_sample": _records(layer, random),
            "random_sample_by_quantile": _by_quantile(layer, quantiles[0]) if quantiles else None,
            "quantile_boundaries": None,
            **{name: layer.value(name, unit) for name in MOMENTS},
            "dataclass_name": "NeuronRecord",
        }
        (folder / f"{unit}.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")


def _records(layer: Layer, excerpts: Excerpts) -> list[dict[str, Any]]:
    return [
        {
            "tokens": layer.tokens(excerpts, row),
            "activations": excerpts.activations[row].tolist(),
            "dataclass_name": "ActivationRecord",
        }
        for row in range(len(excerpts.unit))
    ]


def _by_quantile(layer: Layer, excerpts: Excerpts) -> list[list[dict[str, Any]]]:
    """The windows of the paper's protocol by bin of rank, the lowest first."""
    bins = sorted(set(excerpts.interval.tolist()))
    return [_records(layer, excerpts.where(excerpts.interval == number)) for number in bins]
