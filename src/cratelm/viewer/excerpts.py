"""One unit's excerpts, read from the one row group that holds them, beside what explanations expect of it there."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cratelm.errors import InputError
from cratelm.explain.explain import Explanations
from cratelm.records.config import LONG
from cratelm.records.one_unit import Group
from cratelm.records.store import Excerpts
from cratelm.score.sums import Series
from cratelm.viewer.study import ViewedModel

FILES_KEPT = 64


def read_groups(model: ViewedModel, layer: int, unit: int) -> list[Group]:
    """All excerpts of a unit, in the store's order; none of a unit that was set aside.

    Raises InputError where the file cannot be read.
    """
    path = model.records.path / f"layer-{layer}.parquet"
    try:
        file = _opened(path, path.stat().st_mtime_ns)
        number = _row_group(file.metadata, unit)
        if number is None:
            return []
        table = pq.ParquetFile(path, metadata=file.metadata).read_row_group(number)
        return list(_groups(table.filter(pc.equal(table["unit"], unit))))  # type: ignore[missing-attribute]
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or missing ({error}). Remove its folder, and run the study again."
        ) from error


@lru_cache(maxsize=FILES_KEPT)
def _opened(path: Path, written: int) -> pq.ParquetFile:
    return pq.ParquetFile(path)


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
    names = [field.name for field in fields(Excerpts) if field.name not in ("tokens", "activations")]
    halves, kinds = table["half"].to_pylist(), table["kind"].to_pylist()
    lengths = table["excerpt"].to_pylist()
    for half, kind, length in dict.fromkeys(zip(halves, kinds, lengths, strict=True)):
        rows = [row for row, key in enumerate(zip(halves, kinds, lengths, strict=True)) if key == (half, kind, length)]
        part = table.take(rows).combine_chunks()
        columns = {name: part[name].to_numpy().astype(np.int64) for name in names}
        lists = {
            name: part[name].combine_chunks().flatten().to_numpy().reshape(-1, length)  # (rows, length)
            for name in ("tokens", "activations")
        }
        yield Group(half, kind, length, Excerpts(**columns, **(lists | {"tokens": lists["tokens"].astype(np.int64)})))


def explanations_of(model: ViewedModel, layer: int, length: int) -> dict[str, Explanations]:
    """The explanations that excerpts of a length are scored by: those from top excerpts, or from all strengths."""
    evidence = "openai" if length == LONG else "anthropic"
    if evidence not in model.protocol.shown:
        return {}
    return {name: model.explanation(layer, name, evidence) for name in model.explainers}


def simulated(explanations: Mapping[str, Explanations], excerpts: Excerpts) -> dict[str, np.ndarray]:
    """What each explanation expects of the unit on its excerpts: (rows, length) each."""
    return {
        name: explanation.simulate(excerpts.unit, excerpts.tokens, excerpts.place)
        for name, explanation in explanations.items()
    }


def correlations(truth: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Pearson's r of each excerpt by the package's own metric: (rows, length) twice to (rows,)."""
    rows, length = truth.shape
    row = np.repeat(np.arange(rows), length)
    document = np.zeros((rows, 1), np.int64)
    series = Series(row, np.zeros_like(row), truth.ravel().astype(np.float64), expected.ravel(), document)
    return series.pearson().scores()
