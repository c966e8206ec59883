"""All scores of a scores stage as one table."""

import pyarrow as pa

from cratelm.artifacts import Artifact
from cratelm.parquet import read_table

NAMES = ("explainer", "metric", "status")
"""Columns of names that repeat."""


def score_table(scores: Artifact) -> pa.Table:
    """A row a layer, unit, explainer and metric, layer by layer; InputError where a file cannot be read."""
    paths = sorted(scores.path.glob("units-*.parquet"), key=lambda path: int(path.stem.rpartition("-")[2]))
    return together([read_table(path) for path in paths])


def together(tables: list[pa.Table]) -> pa.Table:
    """Tables of scores one below the other; a column that one does not have is empty there."""
    # Dictionaries that differ cannot be concatenated.
    whole = pa.concat_tables([_each(table, pa.string()) for table in tables], promote_options="default")
    return _each(whole, pa.dictionary(pa.int32(), pa.string()))


def _each(table: pa.Table, kind: pa.DataType) -> pa.Table:
    for place, name in enumerate(table.column_names):
        if name in NAMES:
            table = table.set_column(place, name, table[name].cast(kind))
    return table


def with_model(table: pa.Table, model: str) -> pa.Table:
    """The table with the model's name before its other columns."""
    return table.add_column(0, "model", pa.array([model] * len(table), pa.dictionary(pa.int32(), pa.string())))
