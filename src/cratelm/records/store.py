"""The files of a recording: one parquet a layer, sorted by unit, and one small table of all units' statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from cratelm.artifacts import Artifact, read_json
from cratelm.errors import InputError
from cratelm.records.halves import Half
from cratelm.records.site import SiteRecord

HALVES = ("explain", "score")
KINDS = ("top", "random")
UNITS_IN_ROW_GROUP = 32


@dataclass(frozen=True)
class Excerpts:
    """Excerpts of some units, all of one kind and half."""

    unit: np.ndarray
    """(rows,) int64, ascending."""
    rank: np.ndarray
    """(rows,) int64: 0 is a unit's first."""
    document: np.ndarray
    """(rows,) int64: the document on its side."""
    tokens: np.ndarray
    """(rows, excerpt) int64."""
    activations: np.ndarray
    """(rows, excerpt) float32."""

    def where(self, kept: np.ndarray) -> "Excerpts":
        """The rows that a boolean mask or an index keeps."""
        return Excerpts(*(getattr(self, name)[kept] for name in ("unit", "rank", "document", "tokens", "activations")))


def write_excerpts(path: Path, by_half: Mapping[str, SiteRecord], halves: Sequence[Half]) -> None:
    """Write all excerpts of one layer, sorted by unit, half, kind and rank; a row group is 32 units."""
    tables = [_rows(by_half[half.name], half, number) for number, half in enumerate(halves)]
    unit, half_number, kind, rank, document, start, tokens, activations = (
        np.concatenate(columns) for columns in zip(*tables, strict=True)
    )
    order = np.lexsort((rank, kind, half_number, unit))
    width = tokens.shape[1]
    table = pa.table(
        {
            "unit": pa.array(unit[order], pa.int32()),
            "half": pa.DictionaryArray.from_arrays(pa.array(half_number[order], pa.int8()), list(HALVES)),
            "kind": pa.DictionaryArray.from_arrays(pa.array(kind[order], pa.int8()), list(KINDS)),
            "rank": pa.array(rank[order], pa.int16()),
            "document": pa.array(document[order], pa.int32()),
            "start": pa.array(start[order], pa.int64()),
            "tokens": pa.FixedSizeListArray.from_arrays(pa.array(tokens[order].ravel(), pa.uint16()), width),
            "activations": pa.FixedSizeListArray.from_arrays(pa.array(activations[order].ravel(), pa.float32()), width),
        }
    )
    bounds = np.searchsorted(unit[order], np.arange(0, int(unit.max()) + UNITS_IN_ROW_GROUP + 1, UNITS_IN_ROW_GROUP))
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for first, last in pairwise(bounds):
            if last > first:
                writer.write_table(table.slice(first, last - first))


def _rows(record: SiteRecord, half: Half, number: int) -> tuple[np.ndarray, ...]:
    rows = len(record.row_unit)
    excerpts = record.row_excerpt
    return (
        record.row_unit,
        np.full(rows, number),
        np.where(record.row_is_top, KINDS.index("top"), KINDS.index("random")),
        record.row_rank,
        half.document_of[excerpts],
        half.start_of(excerpts),
        half.tokens_of(excerpts),
        record.row_activations,
    )


def write_units(path: Path, layers: Sequence[Mapping[str, SiteRecord]]) -> None:
    """Write the statistics of all units of all layers in both halves, a row each."""
    tables = []
    for layer, by_half in enumerate(layers):
        for half, record in by_half.items():
            columns: dict[str, pa.Array] = {
                "layer": pa.array(np.full(record.units, layer), pa.int16()),
                "unit": pa.array(np.arange(record.units), pa.int32()),
                "half": pa.array([half] * record.units, pa.string()),
            }
            for name, values in record.moments.statistics().items():
                columns[name] = pa.array(values, pa.float64(), from_pandas=True)
            columns["histogram"] = pa.FixedSizeListArray.from_arrays(
                pa.array(record.histogram.ravel(), pa.int64()), record.histogram.shape[1]
            )
            tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")


def write_tables(path: Path, record: SiteRecord) -> None:
    """Write the full token tables of the sampled units: the mean activation of each token, and its count."""
    counts = record.table_counts
    means = record.table_sums / np.maximum(counts, 1)[:, None]
    save_file({"units": record.table_units, "means": np.ascontiguousarray(means.T), "counts": counts}, path)


def read_tables(records: Artifact, layer: int) -> dict[str, np.ndarray]:
    """`units` (sample,), `means` (sample, V) and `counts` (V,) of one layer's full token tables."""
    return load_file(records.path / f"tables-{layer}.safetensors")


def read_layers(records: Artifact) -> list[int]:
    """The number of units of each layer."""
    return [site["units"] for site in read_json(records.path / "records.json")["sites"]]


def read_units(records: Artifact, layer: int, half: str) -> dict[str, np.ndarray]:
    """One layer's unit statistics in one half: a column a name, NaN where there is no value."""
    filters = [("layer", "=", layer), ("half", "=", half)]
    table = pq.read_table(records.path / "units.parquet", filters=filters)
    return {name: _column(table, name) for name in table.column_names if name not in ("layer", "half")}


def _column(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    if pa.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy().reshape(-1, column.type.list_size)
    return column.to_numpy(zero_copy_only=False)


def read_excerpts(records: Artifact, layer: int, half: str, kind: str, units: Sequence[int] | None = None) -> Excerpts:
    """One layer's excerpts of one half and kind, of all units or of a few.

    Raises InputError where the file cannot be read.
    """
    path = records.path / f"layer-{layer}.parquet"
    filters = [("half", "=", half), ("kind", "=", kind)]
    if units is not None:
        filters.append(("unit", "in", list(units)))  # type: ignore[arg-type]
    columns = ["unit", "rank", "document", "tokens", "activations"]
    try:
        table = pq.read_table(path, filters=filters, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is damaged ({error}). Remove its folder and record again.") from error
    unit, rank, document, tokens = (_column(table, name).astype(np.int64) for name in columns[:4])
    return Excerpts(unit, rank, document, tokens, _column(table, "activations"))
