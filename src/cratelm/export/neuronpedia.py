"""Neuronpedia's dashboards, as SAEDashboard writes them: LAYER/batch-N.json, run_settings.json, skipped_indexes.json.

Top excerpts are the group whose `bin_min` is -1; the interval excerpts of the protocol strict are groups of their own.
What SAEDashboard measures and a recording does not (alignment and correlation with other neurons) is left empty, as it
leaves it where it is turned off; so are logits, unless the recording was made with --logits. Units that never fire or
are not finite are skipped, and listed.
"""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cratelm import __version__
from cratelm.export.exported_layer import Layer
from cratelm.export.numbers import rounded
from cratelm.protocols import SHORT
from cratelm.records.config import INTERVALS
from cratelm.records.excerpts import Excerpts

FEATURES_IN_BATCH = 128


def write_dashboards(layer: Layer, folder: Path) -> None:
    """Write a layer's batches and what goes with them."""
    fires = layer.statistics["finite"] & (layer.statistics["firing_rate"] > 0)
    kinds = [("top", layer.protocol.long)]
    if layer.protocol.intervals_of_maximum:
        kinds.append(("interval", SHORT))
    firing = (found for found in layer.unit_excerpts(*kinds) if fires[found[0]])
    name = {"model_id": layer.summary["model"], "layer": layer.number, "sae_set": _set_name(layer.site["site"])}
    some = iter(lambda: [_feature(layer, unit, *found) for unit, found in islice(firing, FEATURES_IN_BATCH)], [])
    for number, features in enumerate(some):
        _write(folder / f"batch-{number}.json", name | {"sae_id_suffix": None, "features": features})
    skipped = np.flatnonzero(~fires).tolist()
    _write(
        folder / "skipped_indexes.json",
        name | {"layer": str(layer.number), "log_sparsity": None, "skipped_indexes": skipped},
    )
    settings = {"hook_name": layer.site["site"], "half": layer.half, "protocol": layer.summary["protocol"]}
    _write(folder / "run_settings.json", name | settings | _text(layer) | {"cratelm": __version__})


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")


def _set_name(site: str) -> str:
    """What a site is called apart from its layer: `coding-code` of `model.layers.0.coding.code`."""
    parts = site.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return "-".join(parts[numbers[-1] + 1 :] if numbers else parts)


def _text(layer: Layer) -> dict[str, Any]:
    counts = layer.summary["halves"][layer.half]
    return {"n_prompts_total": counts["contexts"], "n_tokens_in_prompt": counts["longest"], "dataset": ""}


def _feature(layer: Layer, unit: int, top: Excerpts, intervals: Excerpts | None = None) -> dict[str, Any]:
    highest = float(layer.statistics["maximum"][unit])
    histogram = layer.statistics["histogram"][unit]
    width = highest / len(histogram)
    activations = [_activation(layer, top, row, -1, highest, -1) for row in range(len(top.unit))]
    if intervals is not None:
        shares = interval_shares(histogram, float(layer.statistics["firing_rate"][unit]))
        bounds = np.linspace(0, highest, INTERVALS + 1)
        for row in np.argsort(-intervals.interval, kind="stable"):
            at = int(intervals.interval[row])
            bin_of = (float(bounds[at]), float(bounds[at + 1]), float(shares[at]))
            activations.append(_activation(layer, intervals, int(row), *bin_of))
    tables = ("neuron_alignment_", "correlated_neurons_", "correlated_features_")
    columns = (("indices", "values", "l1"), ("indices", "l1", "pearson"), ("indices", "l1", "pearson"))
    return {
        "feature_index": unit,
        **{table + column: [] for table, names in zip(tables, columns, strict=True) for column in names},
        **_logits(layer, unit),
        "frac_nonzero": float(layer.statistics["firing_rate"][unit]),
        "freq_hist_data_bar_values": [rounded((place + 0.5) * width) for place in range(len(histogram))],
        "freq_hist_data_bar_heights": [float(count) for count in histogram],
        "logits_hist_data_bar_heights": [],
        "logits_hist_data_bar_values": [],
        **_text(layer),
        "decoder_weights_dist": [],
        "vector": [],
        "activations": activations,
    }


def _logits(layer: Layer, unit: int) -> dict[str, list]:
    """The tokens that a unit lowers and raises most, where the recording kept them."""
    found = layer.logits.get(unit, {})
    return {
        f"{sign}_{column}": values
        for sign, side in (("neg", "lowered"), ("pos", "raised"))
        for column, values in (
            ("str", [layer.texts[token] for token in found.get(side, [])]),
            ("values", [rounded(value) for value in found.get(f"{side}_by", [])]),
        )
    }


def _activation(
    layer: Layer, excerpts: Excerpts, row: int, bin_min: float, bin_max: float, bin_contains: float
) -> dict[str, Any]:
    values = excerpts.activations[row]
    return {
        "bin_min": rounded(bin_min),
        "bin_max": rounded(bin_max),
        "bin_contains": rounded(bin_contains),
        "tokens": layer.tokens(excerpts, row),
        "values": [rounded(float(value)) for value in values],
        "qualifying_token_index": int(values.argmax()),
    }


def interval_shares(histogram: np.ndarray, firing_rate: float) -> np.ndarray:
    """The share of all tokens whose activation lies in each interval, (INTERVALS,), by the histogram of the pool.

    A bin of the histogram that lies across an interval's border is split in proportion.
    """
    total = histogram.sum()
    if not total:
        return np.zeros(INTERVALS)
    upto = np.r_[0, np.cumsum(histogram)] / total * firing_rate
    places = np.linspace(0, len(histogram), INTERVALS + 1)
    return np.diff(np.interp(places, np.arange(len(histogram) + 1), upto))
