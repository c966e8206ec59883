"""Some units of a recording, read alone: their excerpts from the row groups that hold them, and their statistics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, read_json
from cratelm.errors import InputError
from cratelm.parquet import as_numpy, filtered, read_table, reading
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import KINDS, to_excerpts

FILES_KEPT = 64
"""Files whose row groups are remembered; a larger study's are looked up again."""


@dataclass(frozen=True)
class Group:
    """Excerpts of one half, kind and length."""

    half: str
    kind: str
    length: int
    excerpts: Excerpts


def read_groups(records: Artifact, layer: int, units: Sequence[int]) -> list[Group]:
    """All excerpts of some units: each unit's are the longest first, then by half and kind, in the store's order.

    Raises InputError where the file cannot be read.
    """
    path = records.path / f"layer-{layer}.parquet"
    with reading(path):
        metadata = _metadata(path, path.stat().st_mtime_ns)
        numbers = {number for unit in units if (number := _row_group(metadata, unit)) is not None}
        if not numbers:
            return []
        table = pq.ParquetFile(path, metadata=metadata).read_row_groups(sorted(numbers))
        return list(_groups(filtered(table, [("unit", "in", list(units))])))


@lru_cache(maxsize=FILES_KEPT)
def _metadata(path: Path, written: int) -> pq.FileMetaData:
    return pq.read_metadata(path)


def _row_group(metadata: pq.FileMetaData, unit: int) -> int | None:
    """The row group that holds a unit: groups are in the order of units, and none is split over two."""
    column = metadata.schema.names.index("unit")
    low, high = 0, metadata.num_row_groups - 1
    while low <= high:
        middle = (low + high) // 2
        bounds = metadata.row_group(middle).column(column).statistics
        if unit < bounds.min:
            high = middle - 1
        elif unit > bounds.max:
            low = middle + 1
        else:
            return middle
    return None


def _groups(table: pa.Table) -> Iterator[Group]:
    """The groups in the store's order of one unit, which the first of several units may not show in full."""
    lengths = np.unique(as_numpy(table["excerpt"]))[::-1]
    for length in lengths.tolist():
        rows = filtered(table, [("excerpt", "=", length)])
        excerpts, halves, kinds = to_excerpts(rows, length), _names(rows["half"]), _names(rows["kind"])
        for half, kind in product(np.unique(halves).tolist(), KINDS):
            kept = (halves == half) & (kinds == kind)
            if kept.any():
                yield Group(half, kind, length, excerpts.where(kept))


def _names(column: pa.ChunkedArray) -> np.ndarray:
    """A column of a few names: (rows,) str."""
    return np.concatenate(
        [np.array(chunk.dictionary.to_pylist())[np.from_dlpack(chunk.indices)] for chunk in column.chunks]
    )


def read_statistics(records: Artifact, layer: int, unit: int) -> dict[str, dict[str, Any]]:
    """A unit's statistics by half and name; None where it has no such value."""
    filters = [("layer", "=", layer), ("unit", "=", unit)]
    rows = read_table(records.path / "units.parquet", filters=filters).to_pylist()
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
