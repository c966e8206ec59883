"""The files of a cell: a summary that a person can read, its numbers as one long table, and its units' columns.

CELLS/NAME.json             the cell, its run, its training, its main numbers and examples of its units; written last,
                            so a cell without it has not been run
CELLS/numbers/NAME.parquet  a row a number: name, source, stage, explainer, metric, layer, place, value
CELLS/units/NAME.parquet    a row a unit: layer, token share, firing rate, and its scores by `table`

`numbers` and `units` of several cells are one data set: `pq.read_table("CELLS/units")` reads them all.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.errors import InputError
from cratelm.files import read_object
from cratelm.protocols import ENDPOINT
from cratelm.report.rows import plain

SCHEMA = 5
MODEL, PAPER_SOURCE = "model", "paper"
"""Sources of numbers: a model's units by the strict protocol, and by the paper's. Latents have their dictionary's."""
END = "1"
"""The last stage of a training; a stage is the share of the training that is done, as text."""
ALL = "all"
"""In the place of a layer: the mean over layers."""
DIGITS = 4
"""Significant digits of a unit's numbers: a rare unit's firing rate has as many as any other's."""
MAIN = ("score", "token_share", "firing_rate")
"""Numbers that the summary repeats for a reader."""
DEPTH = 3
"""Of a summary's objects that have a line for each entry; what is deeper is on one line."""

Value = float | list[float]
Result = dict[str, Any]
"""A cell's summary, with `numbers` (Numbers) and, where they were kept, `units` (Units)."""
Units = dict[str, list[Any]]
"""A column a name, a row a unit; None where a unit has no such number."""


class Key(NamedTuple):
    """What a number of a cell is."""

    name: str
    """Such as `score`, `shuffled`, `token_share`, `nats_per_token`, `hoyer`."""
    source: str = MODEL
    stage: str = END
    explainer: str = ""
    metric: str = ""
    layer: str = ""
    """Its number, ALL, or nothing where the number is of no layer."""


Numbers = Mapping[Key, Value]
NUMBERS = pa.schema([*((name, pa.string()) for name in Key._fields), ("place", pa.int16()), ("value", pa.float64())])
"""`place`: of a value in a list, such as a bin of a histogram; null for a number by itself."""


def write_cell(folder: Path, name: str, result: Result) -> None:
    """Write a cell's files, each whole or not at all, and the summary last."""
    _write_table(_table("numbers", folder, name), _numbers_table(result["numbers"]))
    if "units" in result:
        _write_table(_table("units", folder, name), _units_table(result["units"]))
    kept = {key: value for key, value in result.items() if key not in ("numbers", "units")}
    examples = {"examples": kept.pop("examples")}
    summary = {"schema": SCHEMA, **kept, "main": _main(result["numbers"]), **examples}
    _write_whole(folder / f"{name}.json", (_readable(plain(summary)) + "\n").encode())


def read_cell(folder: Path, name: str) -> Result:
    """A cell's result. Raises InputError where a file is damaged, missing or of another schema."""
    path = folder / f"{name}.json"
    summary = read_object(path)
    if summary.get("schema") != SCHEMA:
        raise InputError(
            f"{path} is of schema {summary.get('schema')!r}, this version reads {SCHEMA}: remove it to make it again."
        )
    numbers, units = (_table(kind, folder, name) for kind in ("numbers", "units"))
    summary.pop("main", None)  # for people: `numbers` has them
    result = summary | {"numbers": _read_numbers(numbers)}
    return result | {"units": _read_units(units)} if units.is_file() else result


def _table(kind: str, folder: Path, name: str) -> Path:
    return folder / kind / f"{name}.parquet"


def _numbers_table(numbers: Numbers) -> pa.Table:
    rows = [(*key, place, value) for key, value_or_list in numbers.items() for place, value in _placed(value_or_list)]
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), NUMBERS, strict=True)]
    return pa.Table.from_arrays(columns, schema=NUMBERS)


def _placed(value_or_list: Value) -> list[tuple[int | None, float | None]]:
    """A number without a place, or a list's with theirs; NaN is null."""
    pairs = enumerate(value_or_list) if isinstance(value_or_list, list) else [(None, value_or_list)]
    return [(place, None if math.isnan(value) else float(value)) for place, value in pairs]


def _read_numbers(path: Path) -> dict[Key, Value]:
    numbers: dict[Key, Any] = {}
    for *key, place, value in zip(*_columns(path, NUMBERS.names).values(), strict=True):
        known = float("nan") if value is None else value
        if place is None:
            numbers[Key(*key)] = known
        else:
            numbers.setdefault(Key(*key), []).append(known)
    return numbers


def _columns(path: Path, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """A table's columns. Raises InputError where the file is missing or damaged."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        return {name: table[name].to_pylist() for name in names or table.column_names}
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}). It belongs to {path.stem}.json: copy it too, or remove that file "
            "to run the cell again."
        ) from error


def _units_table(units: Units) -> pa.Table:
    """Single precision has seven digits, of which DIGITS are kept."""
    types = {name: pa.int16() if name == "layer" else pa.float32() for name in units}
    return pa.table({name: pa.array(column, types[name]) for name, column in units.items()})


def _read_units(path: Path) -> Units:
    return {name: column if name == "layer" else [*map(rounded, column)] for name, column in _columns(path).items()}


def rounded(value: float | None) -> float | None:
    """To DIGITS significant digits; None for NaN."""
    return None if value is None or math.isnan(value) else float(f"{value:.{DIGITS}g}")


def _write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sink = pa.BufferOutputStream()
    split = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    # Bytes of one significance lie together, and compress better: readings hardly ever repeat as a whole.
    dictionaries = [name for name in table.column_names if name not in split]
    options = {"use_dictionary": dictionaries, "use_byte_stream_split": split, "write_statistics": False}
    pq.write_table(table, sink, compression="zstd", compression_level=19, store_schema=False, **options)
    _write_whole(path, sink.getvalue().to_pybytes())


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _main(numbers: Numbers) -> dict[str, Any]:
    """What a person looks for first: scores by `table` and statistics of each layer, in the end."""
    layers: dict[str, dict[str, float | None]] = {}
    for key, value in numbers.items():
        wanted = (
            key.source == MODEL and key.stage == END and key.explainer in ("", ENDPOINT.explainer) and key.name in MAIN
        )
        if wanted and not isinstance(value, list):
            layers.setdefault(key.layer, {})[key.metric or key.name] = rounded(value)
    return {"layers": [{"layer": layer, **numbers} for layer, numbers in sorted(layers.items(), key=_depth)]}


def _depth(row: tuple[str, dict]) -> tuple[bool, int, str]:
    """Layers by number, then what is no layer: as text, 10 would stand before 2."""
    return not row[0].isdigit(), int(row[0]) if row[0].isdigit() else 0, row[0]


def _readable(value: Any, depth: int = DEPTH, indent: str = "") -> str:
    """JSON with a line for each entry of an object or list of objects down to `depth`; the rest on one line."""
    inner = indent + "  "
    if depth and value and isinstance(value, dict):
        entries = [f"{json.dumps(key)}: {_readable(entry, depth - 1, inner)}" for key, entry in value.items()]
        return _block("{}", entries, indent)
    if depth and value and isinstance(value, list) and isinstance(value[0], dict):
        return _block("[]", [_readable(entry, depth - 1, inner) for entry in value], indent)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _block(brackets: str, entries: Sequence[str], indent: str) -> str:
    separator = f",\n{indent}  "
    return f"{brackets[0]}\n{indent}  {separator.join(entries)}\n{indent}{brackets[1]}"
