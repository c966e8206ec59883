"""A sample of each half's text with what many units do on it: stored, and read without PyTorch.

text-HALF.parquet has a row a piece of text, which all layers share; text-HALF-LAYER.parquet a row a unit, with its
activations on all pieces one after the other. draw_text.py says which pieces they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact
from cratelm.errors import InputError
from cratelm.parquet import Filter, as_numpy, flat_numpy, read_table, reading

LARGEST = 15
"""Activations are stored as float16, times the power of two that brings the unit's largest one below 2^LARGEST."""
SMALLEST = np.float16(2.0**-24)
"""The smallest positive float16. What is smaller is stored as this, so that a unit that fires still does."""
PIECES = pa.schema([("document", pa.int32()), ("place", pa.int32()), ("tokens", pa.list_(pa.uint32()))])
_NONE = np.empty(0, np.int64)
UNITS = pa.schema([("unit", pa.int32()), ("scale", pa.float64()), ("activations", pa.list_(pa.float16()))])


@dataclass(frozen=True)
class TextSample:
    """Pieces of a half's text, and the activations of some units of a layer on them. A row is a whole context, or a
    part of one that is longer than draw_text.LONGEST tokens."""

    tokens: np.ndarray
    """(contexts, T) int64; padded with 0 after `length`."""
    length: np.ndarray
    """(contexts,) int64: the number of tokens."""
    place: np.ndarray
    """(contexts,) int64: the place of the first token in its context; 0 of a whole one."""
    document: np.ndarray
    """(contexts,) int64: the document on its side, ascending."""
    units: np.ndarray
    """(n,) int64, ascending: those with a token table."""
    activations: np.ndarray
    """(n, contexts, T) float32; 0 after `length`."""


@dataclass(frozen=True)
class FlatSample:
    """The same with all pieces one after the other, as they are stored."""

    tokens: np.ndarray
    """(tokens,) int64."""
    length: np.ndarray
    """(contexts,) int64: how many of them each piece has."""
    place: np.ndarray
    """(contexts,) int64."""
    document: np.ndarray
    """(contexts,) int64, ascending."""
    units: np.ndarray
    """(n,) int64, ascending."""
    activations: np.ndarray
    """(n, tokens) float32."""


def text_name(half: str) -> str:
    """The file of a half's pieces of text."""
    return f"text-{half}.parquet"


def activations_name(half: str, layer: int) -> str:
    """The file of what the units of a layer do on them."""
    return f"text-{half}-{layer}.parquet"


def write_pieces(path: Path, document: np.ndarray, place: np.ndarray, tokens: Sequence[np.ndarray]) -> None:
    """Write the pieces of a half: document and place (pieces,), and the tokens of each."""
    columns = [pa.array(document, pa.int32()), pa.array(place, pa.int32()), _lists(tokens, np.uint32)]
    pq.write_table(pa.Table.from_arrays(columns, schema=PIECES), path, compression="zstd")


def write_activations(path: Path, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write what units do on all pieces of a half: parts of units (some,), ascending, and activations (some, tokens).

    A part is a row group, so that a few units are read alone.
    """
    with pq.ParquetWriter(path, UNITS, compression="zstd", use_dictionary=False, write_statistics=["unit"]) as writer:  # type: ignore[arg-type]
        for units, activations in parts:
            scale = scale_of(activations)
            columns = [pa.array(units, pa.int32()), pa.array(scale), _lists(to_half(activations, scale), np.float16)]
            writer.write_table(pa.Table.from_arrays(columns, schema=UNITS))


def _lists(rows: Sequence[np.ndarray] | np.ndarray, dtype: type) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, rows)])
    flat = np.concatenate([np.empty(0, dtype), *rows]).astype(dtype)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat))


def scale_of(activations: np.ndarray) -> np.ndarray:
    """What stored numbers are multiplied by to get activations (units, tokens), at least 0: (units,), powers of two."""
    finite = np.where(np.isfinite(activations), activations, 0)
    exponent = np.frexp(finite.max(axis=1, initial=0).astype(np.float64))[1]
    return np.ldexp(1.0, exponent - LARGEST)


def to_half(activations: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Activations (units, tokens), at least 0, as they are stored: float16, what is above 0 above 0."""
    stored = (activations / scale[:, None]).astype(np.float16)
    return np.where((activations > 0) & (stored == 0), SMALLEST, stored)


def read_pieces(records: Artifact, half: str, most: int) -> list[np.ndarray]:
    """The tokens of the first pieces of a half, (T,) int64 each: as many as come to `most` tokens, one at least.

    Raises InputError where there are none, as below.
    """
    lists = read_table(_require(records.path / text_name(half)), columns=["tokens"])["tokens"].to_pylist()
    ends = np.cumsum([len(tokens) for tokens in lists])
    count = max(1, int(np.searchsorted(ends, most, side="right")))
    return [np.array(tokens, np.int64) for tokens in lists[:count]]


def read_flat_sample(records: Artifact, layer: int, half: str, units: Sequence[int] | None = None) -> FlatSample:
    """The sample of a half with the units of a layer, of all that are kept or of some of them.

    Raises InputError where there is none (records of an earlier version, or by the protocol paper) or it is damaged.
    """
    pieces, path = _require(records.path / text_name(half)), _require(records.path / activations_name(half, layer))
    read = read_table(pieces, columns=PIECES.names)
    filters: list[Filter] = [] if units is None else [("unit", "in", list(units))]
    stored = read_table(path, filters=filters, columns=UNITS.names)
    length = [np.diff(np.from_dlpack(chunk.offsets)) for chunk in read["tokens"].chunks]
    tokens = flat_numpy(read["tokens"]).astype(np.int64)
    with reading(path):
        of_units = flat_numpy(stored["activations"]).reshape(len(stored), len(tokens))
        activations = np.empty(of_units.shape, np.float32)
        for row, scale in enumerate(as_numpy(stored["scale"])):
            activations[row] = of_units[row] * scale  # float64: a scale may be below float32
    place, document = (as_numpy(read[name]).astype(np.int64) for name in ("place", "document"))
    number = as_numpy(stored["unit"]).astype(np.int64)
    return FlatSample(tokens, np.concatenate([_NONE, *length]), place, document, number, activations)


def read_text_sample(records: Artifact, layer: int, half: str, units: Sequence[int] | None = None) -> TextSample:
    """The same, a piece a row and padded to the longest."""
    flat = read_flat_sample(records, layer, half, units)
    held = np.arange(flat.length.max(initial=0)) < flat.length[:, None]
    tokens = np.zeros(held.shape, np.int64)
    tokens[held] = flat.tokens
    activations = np.zeros((len(flat.units), *held.shape), np.float32)
    for row, values in enumerate(flat.activations):
        activations[row][held] = values
    return TextSample(tokens, flat.length, flat.place, flat.document, flat.units, activations)


def _require(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"{path} is missing: records of an earlier version, and those by the protocol paper, keep no text sample. "
            "Record again with this version, by the protocol strict or short."
        )
    return path
