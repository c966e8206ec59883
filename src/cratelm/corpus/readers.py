"""Documents out of files: plain text, JSON lines, CSV, parquet, plain or compressed with gzip or zstandard.

Every reader is strict: what cannot be read is named with its file and line, and stops the run; nothing is skipped.
"""

import codecs
import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from cratelm.corpus.compressed import unpacked
from cratelm.errors import InputError, first_line

Texts = Iterator[tuple[str, bool]]
"""Each document's text, and whether something in it that is no Unicode had to be replaced."""

BINARY = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip data",
    b"\x28\xb5\x2f\xfd": "zstandard data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"%PDF": "a PDF",
    b"PAR1": "parquet",
}
"""The first bytes of what people take for text."""
LOOKED_AT = 8192
"""Bytes from the start of a file that tell whether it is text, as git looks at them."""
csv.field_size_limit(2**31 - 1)  # a document may be long


def given_path(corpus: str) -> Path:
    """The path of a corpus; InputError where it is empty, which Python takes for the current folder."""
    if not corpus.strip():
        raise InputError("the name of the corpus is empty. Give a file, a folder, or `.` for this one.")
    return Path(corpus)


def list_files(path: Path) -> list[Path]:
    """The file at a path, or all readable files of a folder in the order of their names.

    Raises InputError where there is none.
    """
    if path.is_dir():
        found = sorted(file for file in _files_below(path) if _format(file) is not None)
        if found:
            return found
        raise InputError(f"the folder {path} holds no file of {', '.join(READERS)}.")
    if not path.is_file():
        raise InputError(f"no corpus at {path}: there is no such file or folder.")
    if _format(path) is None:
        raise InputError(f"cannot read {path}: a corpus is a folder or a file of {', '.join(READERS)}.")
    return [path]


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder and those in it. Raises InputError where a link or a folder would be left out."""

    def refuse(error: OSError) -> None:
        raise InputError(f"the folder {error.filename} cannot be read ({error.strerror}).") from error

    for where, folders, names in os.walk(folder, onerror=refuse):
        for name in (*folders, *names):
            path = Path(where, name)
            if path.is_symlink() and not path.is_file() and (path.is_dir() or _format(path) is not None):
                raise InputError(
                    f"{path} is a link to {path.readlink()}, which cannot be read as a file. Remove the link, or "
                    "put what it leads to in its place."
                )
        yield from (path for name in names if (path := Path(where, name)).is_file())


def read_file(path: Path, field: str, alone: bool) -> Texts:
    """The documents of a file.

    A .txt file that is a corpus `alone` holds documents between blank lines; one of a folder is one document. The
    other formats hold a document a row, in the field or column `field`.
    """
    kind = _format(path)
    with _damage_named(path):
        yield from _whole(path) if kind == ".txt" and not alone else READERS[str(kind)](path, field)


def decode(data: bytes) -> tuple[str, bool]:
    """Bytes as text; invalid UTF-8 becomes U+FFFD, and is told."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode(errors="replace"), True


def require_text(path: Path, data: bytes) -> None:
    """Refuse a file whose first bytes are no UTF-8 text; raises InputError that says what they are."""
    found = next((kind for start, kind in BINARY.items() if data.startswith(start)), None)
    # A text may hold a NUL here and there. Of UTF-16 without its mark every other byte is one, or nearly.
    if found is None and data.count(0) > len(data) / 10:
        found = "binary data, or UTF-16"
    if found:
        raise InputError(f"{path} holds {found}, not UTF-8 text. Convert it to UTF-8, or unpack it, and run again.")


def _format(path: Path) -> str | None:
    """The ending that tells how to read a file, without that of its compression."""
    plain = path.with_suffix("") if path.suffix.lower() in (".gz", ".zst") else path
    kind = plain.suffix.lower()
    return kind if kind in READERS else None


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, pa.ArrowInvalid, csv.Error) as error:
        raise InputError(f"{path} is damaged: {first_line(error)}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed."""
    with path.open("rb") as raw, unpacked(path.suffix.lower(), raw) as file:
        require_text(path, file.peek(LOOKED_AT)[:LOOKED_AT])
        yield file


def _lines(path: Path) -> Iterator[bytes]:
    """A file's lines; a byte-order mark, which some editors put before the first, is none of its text."""
    with _opened(path) as file:
        for number, line in enumerate(file):
            yield line if number else line.removeprefix(codecs.BOM_UTF8)


def _whole(path: Path) -> Texts:
    yield decode(b"".join(_lines(path)))


def _blocks(path: Path, field: str) -> Texts:
    """The runs of lines that blank lines separate."""
    block: list[bytes] = []
    for line in _old_lines(_lines(path)):
        if line.strip():
            block.append(line)
        elif block:
            yield decode(b"".join(block).rstrip(b"\r\n"))
            block = []
    if block:
        yield decode(b"".join(block).rstrip(b"\r\n"))


def _old_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The same lines; one without a line feed, such as a whole file of the old Macintosh, ends at carriage returns.

    Elsewhere a carriage return ends no line: some programs write two before a line feed.
    """
    for line in lines:
        yield from (line,) if line.endswith(b"\n") else line.splitlines(keepends=True)


def _json_lines(path: Path, field: str) -> Texts:
    for number, line in enumerate(_lines(path), 1):
        text, replaced = decode(line)
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON ({error}).") from error
        except RecursionError as error:
            raise InputError(f"{path}, line {number}: brackets are nested too deeply.") from error
        if not isinstance(row, dict) or not isinstance(row.get(field), str):
            raise InputError(f"{path}, line {number}: no field `{field}` that holds a string.")
        if text.count(f'"{field}"') > 1:
            _require_one(path, number, field, text)
        # JSON can spell half of a surrogate pair, which is no character and has no UTF-8.
        whole = row[field].encode(errors="replace").decode()
        yield whole, replaced or whole != row[field]


def _require_one(path: Path, number: int, field: str, text: str) -> None:
    """Refuse a row that gives its field more than once: Python's json would keep the last and drop the others."""
    names = json.loads(text, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    if names.count(field) > 1:
        raise InputError(f"{path}, line {number}: the field `{field}` is there {names.count(field)} times. Keep one.")


def _rows(path: Path, field: str) -> Texts:
    with _opened(path) as file:
        # Bytes that are no UTF-8 come as lone surrogates, so that they stay apart from a U+FFFD of the text itself.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = _numbered_rows(path, csv.reader(text, strict=True))
        header = next(rows, None)
        if header is None:
            raise InputError(f"{path} is empty: a CSV begins with a line that names its columns.")
        names = header[1]
        column = _column(path, names, field)
        for line, row in rows:
            if len(row) != len(names):
                raise InputError(
                    f"{path}, line {line}: {len(row)} fields, where the header names {len(names)} columns. "
                    "Put fields that hold commas or line breaks into double quotes."
                )
            yield decode(row[column].encode(errors="surrogateescape"))


def _numbered_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV that are not blank, and the number of the line that each begins in.

    Raises InputError, naming that line, where the quotes of a row do not fit, such as one that is never closed.
    """
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, the row that begins in line {line}: its quotes do not fit ({first_line(error)}). Close each "
                "quoted field before a comma or the end of the row, and double the quotes inside."
            ) from error
        if row:
            yield line, row


def _column(path: Path, names: list[str], field: str) -> int:
    """The place of a column; InputError where the header does not name it exactly once."""
    shown = [decode(name.encode(errors="surrogateescape"))[0] for name in names]
    if field in shown:
        if shown.count(field) > 1:
            raise InputError(f"{path} has {shown.count(field)} columns named `{field}`. Rename the others.")
        return shown.index(field)
    for separator, name in SEPARATORS.items():
        if len(shown) == 1 and separator in shown[0]:
            raise InputError(
                f"{path} has no column `{field}`: its header is {shown[0]!r}, separated by {name}. "
                "Save the table with commas."
            )
    raise InputError(f"{path} has no column `{field}`; it has: {', '.join(shown)}.")


SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars"}
"""What other programs put between the columns of a table."""


def _columns(path: Path, field: str) -> Texts:
    with pq.ParquetFile(path) as file:
        if field not in file.schema_arrow.names:
            raise InputError(f"{path} has no column `{field}`; it has: {', '.join(file.schema_arrow.names)}.")
        if (count := file.schema_arrow.names.count(field)) > 1:
            raise InputError(f"{path} has {count} columns named `{field}`. Rename the others.")
        _require_strings(path, file.schema_arrow.field(field))
        for batch in file.iter_batches(batch_size=1000, columns=[field]):
            for data in _as_bytes(batch.column(0)).to_pylist():
                yield decode(data or b"")


def _require_strings(path: Path, column: pa.Field) -> None:
    """Raise InputError where a column does not hold strings; one that is empty throughout has no type of its own."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in STRINGS):
        raise InputError(f"{path}: the column `{column.name}` holds {column.type}, not strings. Give another --field.")


def _as_bytes(column: pa.Array) -> pa.Array:
    """A column of strings as the bytes of their UTF-8, which nobody has checked when a file is read."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.large_binary())


STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
"""The types of columns that hold a text or nothing."""


READERS: dict[str, Callable[[Path, str], Texts]] = {
    ".txt": _blocks,
    ".jsonl": _json_lines,
    ".csv": _rows,
    ".parquet": _columns,
}
