"""Files are read as pyarrow reads them, without what it imports for that."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.errors import InputError
from cratelm.parquet import as_numpy, flat_numpy, read_table

HALVES = ("explain", "score", "other")
ROWS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(HALVES), st.floats(allow_nan=False)), max_size=30)
EQUAL = st.tuples(st.just("unit"), st.just("="), st.integers(0, 7))
ANY_OF = st.tuples(st.just("unit"), st.just("in"), st.lists(st.integers(0, 7), min_size=1))
OF_HALF = st.tuples(st.just("half"), st.just("="), st.sampled_from(HALVES))
COLUMNS = st.none() | st.lists(st.sampled_from(("unit", "half", "value", "list")), min_size=1, unique=True)


def written(path: Path, rows: list[tuple], rows_in_group: int, statistics: bool | list[str]) -> Path:
    """A file of such rows, with a column of names as records hold it and one of lists."""
    unit, half, value = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "unit": pa.array(unit, pa.int32()),
        "half": pa.array(half, pa.string()).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        "value": pa.array(value, pa.float64()),
        "list": pa.array([[one] * (place % 3) for place, one in enumerate(value)], pa.list_(pa.float64())),
    }
    pq.write_table(pa.table(columns), path, row_group_size=rows_in_group, write_statistics=statistics)
    return path


@given(ROWS, st.integers(1, 10), st.sampled_from([True, False, ["unit"]]), st.lists(EQUAL | ANY_OF | OF_HALF), COLUMNS)
def test_the_rows_are_those_of_pyarrows_own_reader_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple],
    rows_in_group: int,
    statistics: bool | list[str],
    filters: list[tuple],
    columns: list[str] | None,
) -> None:
    path = written(tmp_path_factory.mktemp("table") / "table.parquet", rows, rows_in_group, statistics)
    expected = pq.read_table(path, filters=filters or None, columns=columns)
    found = read_table(path, filters, columns)
    assert found.schema.equals(expected.schema)
    assert found.to_pylist() == expected.to_pylist()


@given(ROWS, st.integers(1, 10), st.lists(EQUAL | ANY_OF | OF_HALF))
def test_columns_of_numbers_and_lists_are_those_of_pyarrow(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple], rows_in_group: int, filters: list[tuple]
) -> None:
    path = written(tmp_path_factory.mktemp("table") / "table.parquet", rows, rows_in_group, True)
    table = read_table(path, filters)
    for name in ("unit", "value"):
        expected = table[name].to_numpy()
        assert as_numpy(table[name]).tolist() == expected.tolist()
        assert as_numpy(table[name]).dtype == expected.dtype
    assert flat_numpy(table["list"]).tolist() == [one for row in table["list"].to_pylist() for one in row]


def test_row_groups_that_hold_no_row_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "table.parquet", [(unit, "score", 0.0) for unit in range(12)], 3, True)
    decoded, read = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda file, group, **given: decoded.append(group) or read(file, group, **given),
    )
    assert read_table(path, [("unit", "in", [4, 10])]).num_rows == 2
    assert decoded == [1, 3]


@pytest.mark.parametrize("options", [{"filters": [("no", "=", 1)]}, {"columns": ["no"]}])
def test_a_column_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path, options: dict) -> None:
    path = written(tmp_path / "table.parquet", [(0, "score", 0.0)], 1, True)
    with pytest.raises(InputError, match="is damaged or missing"):
        read_table(path, **options)
