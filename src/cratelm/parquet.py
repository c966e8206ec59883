"""Parquet files of finished stages: one that cannot be read is named, with what to do.

pyarrow imports pandas, where it is installed, in its own read_table and in nearly every conversion from and to NumPy.
That takes a third of a second, as long as everything else that `cratelm show` does. So rows are found here, with NumPy.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.errors import InputError, first_line

Filter = tuple[str, str, Any]
"""A column without nulls, `=` or `in`, and the value or values that rows are kept for."""
SLICES = 64
"""Runs of rows that are put together as slices, without a copy or an import of pyarrow.compute."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise InputError where the file is missing, damaged or of another schema."""
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or missing ({first_line(error)}). Remove its folder and run the command again that "
            "made it."
        ) from error


def read_table(path: Path, filters: Sequence[Filter] = (), columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a file that all `filters` keep, in the file's order, as pyarrow's read_table gives them.

    Raises InputError where the file cannot be read.
    """
    with reading(path), pq.ParquetFile(path) as file:
        names = list(file.schema_arrow.names if columns is None else columns)
        read = list(dict.fromkeys([*names, *(name for name, _, _ in filters)]))
        groups = [group for group in range(file.num_row_groups) if _may_hold(file.metadata, group, filters)]
        # A row group at a time: what is not kept never takes memory all at once.
        kept = [filtered(file.read_row_group(group, columns=read), filters) for group in groups]
        return pa.concat_tables(kept or [file.read_row_groups([], columns=read)]).select(names)


def _may_hold(metadata: pq.FileMetaData, group: int, filters: Sequence[Filter]) -> bool:
    """Whether the bounds of a row group leave room for rows that all filters keep."""
    for name, relation, value in filters:
        bounds = metadata.row_group(group).column(metadata.schema.names.index(name)).statistics
        values = value if relation == "in" else [value]
        if bounds is not None and bounds.has_min_max and not any(bounds.min <= one <= bounds.max for one in values):
            return False
    return True


def filtered(table: pa.Table, filters: Sequence[Filter]) -> pa.Table:
    """The rows that all filters keep."""
    for name, relation, value in filters:
        table = _rows(table, _is_one_of(table[name], value if relation == "in" else [value]))
    return table


def _is_one_of(column: pa.ChunkedArray, values: Sequence[Any]) -> np.ndarray:
    """(rows,) bool."""
    if pa.types.is_dictionary(column.type):
        chunks = ((np.from_dlpack(chunk.indices), chunk.dictionary.to_pylist()) for chunk in column.chunks)
        held = [np.isin(rows, [at for at, name in enumerate(names) if name in values]) for rows, names in chunks]
        return np.concatenate([np.zeros(0, bool), *held])
    if pa.types.is_string(column.type):
        return np.array([text in values for text in column.to_pylist()], bool)
    return np.isin(as_numpy(column), values)


def _rows(table: pa.Table, kept: np.ndarray) -> pa.Table:
    """The rows at which `kept` (rows,) is true."""
    bounds = np.flatnonzero(np.diff(np.r_[False, kept, False])).reshape(-1, 2)
    if len(bounds) <= SLICES:
        return pa.concat_tables([table.slice(begin, end - begin) for begin, end in bounds] or [table.slice(0, 0)])
    bits = pa.py_buffer(np.packbits(kept, bitorder="little"))
    return table.filter(pa.Array.from_buffers(pa.bool_(), len(kept), [None, bits]))


def as_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers without nulls: (rows,)."""
    if not column.num_chunks:
        return np.zeros(0, column.type.to_pandas_dtype())
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def flat_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column of lists, one list after the other, without nulls."""
    if not column.num_chunks:
        return np.zeros(0, column.type.value_type.to_pandas_dtype())
    # Not `flatten`, which imports pyarrow.compute. A chunk may be a slice of longer values.
    bounds = [np.from_dlpack(chunk.offsets)[[0, -1]] for chunk in column.chunks]
    return np.concatenate(
        [np.from_dlpack(chunk.values)[slice(*bound)] for chunk, bound in zip(column.chunks, bounds, strict=True)]
    )
