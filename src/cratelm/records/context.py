"""How much of a unit the last k tokens tell: the files of it, which take no PyTorch to read.

context.parquet has a row a unit, context.json the means of each layer. Recordings of earlier versions have neither, nor
do those by the paper's protocol.
"""

from typing import Any

import pyarrow as pa

from cratelm.artifacts import Artifact, read_json
from cratelm.parquet import read_table

LAST = (1, 2, 4, 8, 16, 32)
"""How many tokens the model is shown: the last of them is the one that the unit is read at."""
REACHED = 0.9
"""A unit reaches back to the smallest k whose r2 is at least so high."""
UNITS, LAYERS = "context.parquet", "context.json"
SCHEMA = pa.schema(
    [("layer", pa.int16()), ("unit", pa.int32()), ("r2", pa.list_(pa.float32(), len(LAST))), ("reach", pa.int16())]
)


def read_context(records: Artifact) -> dict[str, Any] | None:
    """What context.json holds; None where there is no such file."""
    path = records.path / LAYERS
    return read_json(path) if path.is_file() else None


def read_units_context(records: Artifact, layer: int) -> dict[int, dict[str, Any]]:
    """By unit of a layer, `last` (k), `r2` of each and `reach`, None for more than the largest k.

    Nothing is known of units without a token table, and of those that did not vary in the sample.
    """
    path = records.path / UNITS
    if not path.is_file():
        return {}
    rows = read_table(path, filters=[("layer", "=", layer)], columns=["unit", "r2", "reach"]).to_pylist()
    return {row.pop("unit"): {"last": list(LAST), **row} for row in rows}
