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


def read_unit_context(records: Artifact, layer: int, unit: int) -> dict[str, Any] | None:
    """`last` (k), `r2` of each and `reach` of one unit, None for more than the largest k; None where nothing is known:
    of units without a token table, and of those that did not vary in the sample."""
    path = records.path / UNITS
    if not path.is_file():
        return None
    filters = [("layer", "=", layer), ("unit", "=", unit)]
    rows = read_table(path, filters=filters, columns=["r2", "reach"]).to_pylist()
    return {"last": list(LAST), **rows[0]} if rows else None
