"""One unit of a recording, read alone: its excerpts from the one row group that holds them, and its statistics."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, read_json
from cratelm.errors import InputError
from cratelm.records.store import Excerpts


@dataclass(frozen=True)
class Group:
    """A unit's excerpts of one half, kind and length."""

    half: str
    kind: str
    length: int
    excerpts: Excerpts


def read_groups(records: Artifact, layer: int, unit: int) -> list[Group]:
    """All excerpts of a unit, the longest first, then by half and kind, in the store's order.

    Raises InputError where the file cannot be read.
    """
    path = records.path / f"layer-{layer}.parquet"
    try:
        file = pq.ParquetFile(path)
        table = _row_group(file, unit)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{path} is damaged ({error}). Remove its folder and record again.") from error
    return [] if table is None else _groups(table.filter(pa.array(table["unit"].to_numpy() == unit)))


def _row_group(file: pq.ParquetFile, unit: int) -> pa.Table | None:
    column = file.schema_arrow.get_field_index("unit")
    for number in range(file.num_row_groups):
        bounds = file.metadata.row_group(number).column(column).statistics
        if bounds.min <= unit <= bounds.max:
            return file.read_row_group(number)
    return None


def _groups(table: pa.Table) -> list[Group]:
    keys = list(zip(*(table[name].to_pylist() for name in ("excerpt", "half", "kind")), strict=True))
    groups = []
    for length, half, kind in dict.fromkeys(keys):
        rows = [row for row, key in enumerate(keys) if key == (length, half, kind)]
        groups.append(Group(half, kind, length, _excerpts(table.take(rows), length)))
    return groups


def _excerpts(table: pa.Table, length: int) -> Excerpts:
    columns: dict[str, np.ndarray] = {}
    for field in fields(Excerpts):
        column = table[field.name].combine_chunks()
        if pa.types.is_list(column.type):
            columns[field.name] = column.flatten().to_numpy().reshape(-1, length)
        else:
            columns[field.name] = column.to_numpy().astype(np.int64)
    return Excerpts(**columns | {"tokens": columns["tokens"].astype(np.int64)})


def read_statistics(records: Artifact, layer: int, unit: int) -> dict[str, dict[str, Any]]:
    """A unit's statistics by half and name; None where it has no such value."""
    filters = [("layer", "=", layer), ("unit", "=", unit)]
    rows = pq.read_table(records.path / "units.parquet", filters=filters).to_pylist()
    return {row.pop("half"): {name: row[name] for name in row if name not in ("layer", "unit")} for row in rows}


def find_unit(records: Artifact, address: str) -> tuple[int, int]:
    """The layer and number of `layer/index`. Raises InputError where there is no such unit."""
    sites = read_json(records.path / "records.json")["sites"]
    parts = address.split("/")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"{address!r} names no unit: give layer/index, such as 1/37.")
    layer, unit = (int(part) for part in parts)
    if layer >= len(sites):
        raise InputError(f"there is no layer {layer}: {Path(records.path).name} has {len(sites)}, counted from 0.")
    if unit >= sites[layer]["units"]:
        raise InputError(f"there is no unit {unit}: layer {layer} has {sites[layer]['units']}, counted from 0.")
    return layer, unit
