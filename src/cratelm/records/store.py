"""The files of a recording: one parquet a site, sorted by unit, and one small table of all units' statistics.

docs/formats.md describes them; SCHEMA counts their changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from cratelm.artifacts import Artifact, read_json
from cratelm.errors import InputError
from cratelm.parquet import as_numpy, filtered, flat_numpy, read_table, reading
from cratelm.protocols import PROTOCOLS
from cratelm.records.excerpts import Excerpts
from cratelm.stats import in_one

if TYPE_CHECKING:  # they read tokens, which takes torch to import
    from cratelm.records.paper.stream_windows import Windows
    from cratelm.records.tiling import Tiling

SCHEMA = 5
KINDS = ("top", "random", "interval", "other")
UNITS_IN_ROW_GROUP = 32


@dataclass(frozen=True)
class Block:
    """Excerpts of one site, half and length, on their way into the store."""

    half: str
    tiling: "Tiling | Windows"
    kind: np.ndarray
    """(rows,): a place in KINDS."""
    unit: np.ndarray
    interval: np.ndarray
    """(rows,): the interval or bin that an excerpt was drawn for; -1 where there is none."""
    rank: np.ndarray
    excerpt: np.ndarray
    """(rows,): the excerpts' numbers in the tiling."""
    activations: np.ndarray
    """(rows, length) float32."""


COLUMNS = [field.name for field in fields(Excerpts)]
LOCATED = ("document", "start", "place")


def write_excerpts(path: Path, blocks: Sequence[Block]) -> None:
    """Write all excerpts of one site, sorted by unit, length (the longest first), half, kind, interval and rank."""
    halves = sorted({block.half for block in blocks})
    lengths = sorted({block.tiling.length for block in blocks}, reverse=True)
    every = [_sorted([block for block in blocks if block.tiling.length == length], halves) for length in lengths]
    units = 1 + max((int(rows.columns["unit"][-1]) for rows in every if len(rows.order)), default=-1)
    schema = _schema(every[0].tokens.dtype)
    # Units are found by the bounds of row groups, and nothing else is; bounds of activations take time.
    options = {"compression": "zstd", "use_dictionary": ["half", "kind"], "write_statistics": ["unit"]}
    with pq.ParquetWriter(path, schema, **options) as writer:  # type: ignore[arg-type]
        for first in range(0, units, UNITS_IN_ROW_GROUP):
            table = _row_group(every, np.arange(first, first + UNITS_IN_ROW_GROUP), halves, schema)
            if len(table):
                writer.write_table(table)


@dataclass(frozen=True)
class _Rows:
    """All excerpts of one length."""

    length: int
    columns: Mapping[str, np.ndarray]
    """(rows,) each, in the store's order."""
    order: np.ndarray
    """(rows,): where each row's tokens and activations lie, which are too large to be sorted all at once."""
    tokens: np.ndarray
    """(rows, length)."""
    activations: np.ndarray
    """(rows, length)."""


def _sorted(blocks: Sequence[Block], halves: Sequence[str]) -> _Rows:
    """The rows of blocks of one length, sorted by unit, half, kind, interval and rank."""
    located = [block.tiling.locate(block.excerpt) for block in blocks]
    columns = {name: np.concatenate(values) for name, values in zip(LOCATED, zip(*located, strict=True), strict=True)}
    for name in ("unit", "kind", "interval", "rank"):
        columns[name] = np.concatenate([getattr(block, name) for block in blocks])
    columns["half"] = np.repeat([halves.index(block.half) for block in blocks], [len(block.unit) for block in blocks])
    order = np.argsort(in_one([columns[name] for name in ("unit", "half", "kind", "interval", "rank")]))
    tokens = [_windows(block, start) for block, (_, start, _) in zip(blocks, located, strict=True)]
    return _Rows(
        blocks[0].tiling.length,
        {name: values[order] for name, values in columns.items()},
        order,
        np.concatenate(tokens),
        np.concatenate([block.activations for block in blocks]),
    )


def _windows(block: Block, start: np.ndarray) -> np.ndarray:
    """The tokens of excerpts that begin at places (rows,) of their side: (rows, length)."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(block.tiling.side.tokens, block.tiling.length)[start])


def _schema(token: np.dtype) -> pa.Schema:
    name = pa.dictionary(pa.int8(), pa.string())
    columns = {"unit": pa.int32(), "excerpt": pa.int16(), "half": name, "kind": name, "interval": pa.int8()}
    columns |= {"rank": pa.int16(), "document": pa.int32(), "start": pa.int64(), "place": pa.int32()}
    lists = {"tokens": pa.list_(pa.from_numpy_dtype(token)), "activations": pa.list_(pa.float32())}
    return pa.schema(columns | lists)


def _row_group(every: Sequence[_Rows], units: np.ndarray, halves: Sequence[str], schema: pa.Schema) -> pa.Table:
    """The rows of some units, in the store's order: of each unit those of the first length, then the next."""
    bounds = [np.searchsorted(rows.columns["unit"], [*units, units[-1] + 1]) for rows in every]
    pieces = [(at, slice(*bounds[at][unit : unit + 2])) for unit in range(len(units)) for at in range(len(every))]

    def joined(columns: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([columns[at][rows] for at, rows in pieces])

    columns = {name: joined([rows.columns[name] for rows in every]) for name in every[0].columns}
    columns["excerpt"] = np.concatenate([np.full(rows.stop - rows.start, every[at].length) for at, rows in pieces])
    offsets = pa.array(np.r_[0, np.cumsum(columns["excerpt"])], pa.int32())
    for name in ("tokens", "activations"):
        sorted_rows = [_of_group(rows, name, at) for rows, at in zip(every, bounds, strict=True)]
        moved = [(at, slice(rows.start - bounds[at][0], rows.stop - bounds[at][0])) for at, rows in pieces]
        flat = np.concatenate([sorted_rows[at][rows].ravel() for at, rows in moved])
        columns[name] = pa.ListArray.from_arrays(offsets, flat)
    for name, values in (("half", halves), ("kind", KINDS)):
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(columns[name], pa.int8()), list(values))
    return _typed(columns, schema)


def _of_group(rows: _Rows, name: str, bounds: np.ndarray) -> np.ndarray:
    """The tokens or activations of a row group's rows of one length, in the store's order: (rows, length).

    They are sorted a row group at a time: those of a site are too many for the processor's cache.
    """
    return getattr(rows, name)[rows.order[bounds[0] : bounds[-1]]]


def _typed(columns: Mapping[str, np.ndarray | pa.Array], schema: pa.Schema) -> pa.Table:
    arrays = [
        columns[field.name] if isinstance(columns[field.name], pa.Array) else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def write_units(path: Path, sites: Sequence[Mapping[str, Mapping[str, np.ndarray]]]) -> None:
    """Write the statistics of all units of all sites in each half, a row each: by site, half and name, (units, …)."""
    tables = []
    for layer, by_half in enumerate(sites):
        for half, statistics in by_half.items():
            units = len(next(iter(statistics.values())))
            columns: dict[str, pa.Array] = {
                "layer": pa.array(np.full(units, layer), pa.int16()),
                "unit": pa.array(np.arange(units), pa.int32()),
                "half": pa.array([half] * units, pa.string()),
            }
            for name, values in statistics.items():
                columns[name] = (
                    pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
                    if values.ndim == 2
                    else pa.array(values, from_pandas=True)
                )
            tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")


def write_tables(path: Path, sample: np.ndarray, tokens: np.ndarray, means: np.ndarray, counts: np.ndarray) -> None:
    """Write the token tables of sampled units (sample,): mean activations (sample, tokens) on the tokens that occur.

    `tokens` are their ids, ascending, and `counts` how often they do.
    """
    save_file({"units": sample, "tokens": tokens, "means": np.ascontiguousarray(means), "counts": counts}, path)


def read_tables(records: Artifact, layer: int, half: str) -> dict[str, np.ndarray]:
    """`units` (sample,), `tokens` (tokens,) that occur, `means` (sample, tokens) and `counts` (tokens,) of a half.

    Raises InputError where there are none: records of an earlier version have those of the explain half alone.
    """
    path = records.path / table_name(layer, half)
    if not path.is_file():
        raise InputError(f"{path} is missing: these records are of an earlier version. Record again.")
    stored = load_file(path)
    if "tokens" not in stored:  # an earlier version wrote every token of the vocabulary
        tokens = np.flatnonzero(stored["counts"])
        stored |= {"tokens": tokens, "means": stored["means"][:, tokens], "counts": stored["counts"][tokens]}
    return stored


def table_name(layer: int, half: str) -> str:
    """The file of one layer's full token tables of one half."""
    return f"tables-{half}-{layer}.safetensors"


def read_layers(records: Artifact) -> list[int]:
    """The number of units of each layer."""
    return [site["units"] for site in read_json(records.path / "records.json")["sites"]]


def read_protocol(records: Artifact) -> str:
    """The protocol that the records were made by: a name of PROTOCOLS."""
    return read_json(records.path / "records.json")["protocol"]


def require_protocol(records: Artifact, protocol: str | None) -> None:
    """Raise InputError where the records are of another protocol than the one asked for."""
    found = read_protocol(records)
    if protocol is not None and protocol != found:
        raise InputError(
            f"{records.path} was recorded for the protocol {found}, not {protocol!r}: the two cut and choose excerpts "
            f"differently. Record again, by cratelm record --protocol {protocol}."
        )


def read_units(records: Artifact, layer: int, half: str) -> dict[str, np.ndarray]:
    """One layer's unit statistics in one half: a column a name, NaN where there is no value."""
    filters = [("layer", "=", layer), ("half", "=", half)]
    table = read_table(records.path / "units.parquet", filters=filters)
    return {name: _column(table, name) for name in table.column_names if name not in ("layer", "half")}


def _column(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    if pa.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy().reshape(-1, column.type.list_size)
    return column.to_numpy(zero_copy_only=False)


@lru_cache(maxsize=1)
def _of_half(path: Path, changed: int, half: str) -> pa.Table:
    """One half of a site's excerpts: a layer is asked for one kind after the other, each of which would decode all."""
    return read_table(path, filters=[("half", "=", half)], columns=[*COLUMNS, "excerpt", "kind"])


def _of_units(path: Path, half: str, units: tuple[int, ...]) -> pa.Table:
    filters = [("half", "=", half), ("unit", "in", list(units))]
    return read_table(path, filters=filters, columns=[*COLUMNS, "excerpt", "kind"])


def read_excerpts(
    records: Artifact, layer: int, half: str, kind: str, units: Sequence[int] | None = None, excerpt: int | None = None
) -> Excerpts:
    """One site's excerpts of one half, kind and length (the protocol's long one), of all units or of a few.

    Raises InputError where the file cannot be read, or is of another schema.
    """
    path, excerpt = records.path / f"layer-{layer}.parquet", excerpt or PROTOCOLS[read_protocol(records)].long
    if units is None:
        with reading(path):
            changed = path.stat().st_mtime_ns
        table = _of_half(path, changed, half)
    else:
        table = _of_units(path, half, tuple(units))
    return to_excerpts(filtered(table, [("excerpt", "=", excerpt), ("kind", "=", kind)]), excerpt)


def to_excerpts(table: pa.Table, length: int) -> Excerpts:
    """Rows of a site's file that hold excerpts of one length."""
    lists = {name: flat_numpy(table[name]) for name in ("tokens", "activations")}
    columns = {name: as_numpy(table[name]).astype(np.int64) for name in COLUMNS if name not in lists}
    tokens, activations = (values.reshape(-1, length) for values in lists.values())
    return Excerpts(**columns, tokens=tokens.astype(np.int64), activations=activations)
