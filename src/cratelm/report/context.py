"""What the last k tokens tell of units, model beside model: a row for each layer and model."""

from collections.abc import Sequence
from typing import Any

from cratelm.records.context import LAST, read_context
from cratelm.report.measured import Measured


def context_rows(models: Sequence[Measured]) -> list[dict[str, Any]]:
    """The mean r2 of a layer's units at each k with its interval, by `last_K`, and their median reach.

    None where no unit of a layer varied; no rows of recordings of an earlier version.
    """
    known = [(model.name, read_context(model.records)) for model in models]
    rows = [
        {"model": name} | _row(layer) for name, context in known if context is not None for layer in context["layers"]
    ]
    return sorted(rows, key=lambda row: row["layer"])  # stable: models stay in their order


def _row(layer: dict[str, Any]) -> dict[str, Any]:
    row = {name: layer[name] for name in ("layer", "units", "unknown", "median_reach")}
    for number, last in enumerate(LAST):
        ends = {name: layer[name][number] for name in ("mean", "low", "high")} if layer["mean"] is not None else None
        row[f"last_{last}"] = ends
    return row
