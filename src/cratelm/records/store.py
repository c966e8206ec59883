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
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from cratelm.artifacts import Artifact, read_json
from cratelm.errors import InputError
from cratelm.parquet import read_table, reading
from cratelm.protocols import PROTOCOLS
from cratelm.records.excerpts import Excerpts

if TYPE_CHECKING:  # they read tokens, which takes torch to import
    from cratelm.records.paper.stream_windows import Windows
    from cratelm.records.tiling import Tiling

SCHEMA = 3
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


def write_excerpts(path: Path, blocks: Sequence[Block]) -> None:
    """Write all excerpts of one site, sorted by unit, length (the longest first), half, kind, interval and rank."""
    blocks = [block_sorted(block) for block in blocks]
    units = 1 + max((int(block.unit.max()) for block in blocks if len(block.unit)), default=-1)
    bounds = np.arange(0, units + UNITS_IN_ROW_GROUP, UNITS_IN_ROW_GROUP)
    cuts = [np.searchsorted(block.unit, bounds) for block in blocks]
    options = {"compression": "zstd", "use_dictionary": ["half", "kind"]}
    with pq.ParquetWriter(path, _schema(blocks), **options) as writer:  # type: ignore[arg-type]
        for group in range(len(bounds) - 1):
            parts = [_part(block, slice(cut[group], cut[group + 1])) for block, cut in zip(blocks, cuts, strict=True)]
            table = _row_group(parts)
            if len(table):
                writer.write_table(table)


def block_sorted(block: Block) -> Block:
    """The same rows, sorted by unit."""
    order = np.argsort(block.unit, kind="stable")
    columns = (getattr(block, name)[order] for name in ("kind", "unit", "interval", "rank", "excerpt", "activations"))
    return Block(block.half, block.tiling, *columns)


def _part(block: Block, rows: slice) -> Block:
    columns = (getattr(block, name)[rows] for name in ("kind", "unit", "interval", "rank", "excerpt", "activations"))
    return Block(block.half, block.tiling, *columns)


def _schema(blocks: Sequence[Block]) -> pa.Schema:
    name = pa.dictionary(pa.int8(), pa.string())
    token = pa.from_numpy_dtype(blocks[0].tiling.side.tokens.dtype)
    columns = {"unit": pa.int32(), "excerpt": pa.int16(), "half": name, "kind": name, "interval": pa.int8()}
    columns |= {"rank": pa.int16(), "document": pa.int32(), "start": pa.int64(), "place": pa.int32()}
    return pa.schema(columns | {"tokens": pa.list_(token), "activations": pa.list_(pa.float32())})


def _row_group(parts: Sequence[Block]) -> pa.Table:
    """The rows of some units, in the store's order."""
    halves = sorted({part.half for part in parts})
    half = np.concatenate([np.full(len(part.unit), halves.index(part.half)) for part in parts])
    length = np.concatenate([np.full(len(part.unit), part.tiling.length) for part in parts])
    unit, kind, interval, rank = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("unit", "kind", "interval", "rank")
    )
    order = np.lexsort((rank, interval, kind, half, -length, unit))
    document = np.concatenate([part.tiling.document_of(part.excerpt) for part in parts])
    start = np.concatenate([part.tiling.start_of(part.excerpt) for part in parts])
    place = np.concatenate([part.tiling.place_of(part.excerpt) for part in parts])
    tokens = np.concatenate([part.tiling.tokens_of(part.excerpt).ravel() for part in parts])
    activations = np.concatenate([part.activations.ravel() for part in parts])
    places, offsets = _ragged(length, order)
    columns = {
        "unit": unit[order],
        "excerpt": length[order],
        "half": pa.DictionaryArray.from_arrays(pa.array(half[order], pa.int8()), halves),
        "kind": pa.DictionaryArray.from_arrays(pa.array(kind[order], pa.int8()), list(KINDS)),
        "interval": interval[order],
        "rank": rank[order],
        "document": document[order],
        "start": start[order],
        "place": place[order],
        "tokens": pa.ListArray.from_arrays(offsets, tokens[places]),
        "activations": pa.ListArray.from_arrays(offsets, activations[places]),
    }
    return _typed(columns, _schema(parts))


def _typed(columns: Mapping[str, np.ndarray | pa.Array], schema: pa.Schema) -> pa.Table:
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, schema.field(name).type)
        for name, column in columns.items()
    ]
    return pa.table(arrays, schema=schema)


def _ragged(length: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, pa.Array]:
    """Where the values of lists of these lengths lie when the lists are put in another order, and their offsets."""
    first = np.cumsum(length) - length
    ordered = length[order]
    offsets = np.r_[0, np.cumsum(ordered)]
    places = np.arange(offsets[-1]) + np.repeat(first[order] - offsets[:-1], ordered)
    return places, pa.array(offsets, pa.int32())


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


def write_tables(path: Path, sample: np.ndarray, means: np.ndarray, counts: np.ndarray) -> None:
    """Write the token tables of sampled units (sample,): mean activations (sample, V), and the tokens' counts (V,)."""
    save_file({"units": sample, "means": np.ascontiguousarray(means), "counts": counts}, path)


def read_tables(records: Artifact, layer: int, half: str) -> dict[str, np.ndarray]:
    """`units` (sample,), `means` (sample, V) and `counts` (V,) of one layer's full token tables of one half.

    Raises InputError where there are none: records of an earlier version have those of the explain half alone.
    """
    path = records.path / table_name(layer, half)
    if not path.is_file():
        raise InputError(f"{path} is missing: these records are of an earlier version. Record again.")
    return load_file(path)


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
            f"differently. Record again with --protocol {protocol}."
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
    return to_excerpts(table.filter((pc.field("excerpt") == excerpt) & (pc.field("kind") == kind)), excerpt)


def to_excerpts(table: pa.Table, length: int) -> Excerpts:
    """Rows of a site's file that hold excerpts of one length."""
    flat = {name: table[name].combine_chunks() for name in COLUMNS}
    lists = {name: flat.pop(name).flatten().to_numpy().reshape(-1, length) for name in ("tokens", "activations")}
    columns = {name: column.to_numpy().astype(np.int64) for name, column in flat.items()}
    return Excerpts(**columns, tokens=lists["tokens"].astype(np.int64), activations=lists["activations"])
