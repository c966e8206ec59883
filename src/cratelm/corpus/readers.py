"""Documents out of files: plain text, JSON lines, CSV, parquet, plain or compressed with gzip or zstandard.

Every reader is strict: what cannot be read is named with its file and line, and stops the run; nothing is skipped.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

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


def list_files(path: Path) -> list[Path]:
    """The file at a path, or all readable files of a folder in the order of their names.

    Raises InputError where there is none.
    """
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if file.is_file() and _format(file) is not None]
        if found:
            return found
        raise InputError(f"the folder {path} holds no file of {', '.join(READERS)}.")
    if not path.is_file():
        raise InputError(f"no corpus at {path}: there is no such file or folder.")
    if _format(path) is None:
        raise InputError(f"cannot read {path}: a corpus is a folder or a file of {', '.join(READERS)}.")
    return [path]


def read_files(path: Path, field: str) -> Texts:
    """The documents of a file or of a folder's files."""
    return (found for file in list_files(path) for found in read_file(file, field, alone=not path.is_dir()))


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
    if found is None and b"\0" in data:  # no text holds one; UTF-16 without its mark does
        found = "binary data, or UTF-16"
    if found:
        raise InputError(f"{path} holds {found}, not UTF-8 text. Convert it to UTF-8, or unpack it, and run again.")


def _format(path: Path) -> str | None:
    """The ending that tells how to read a file, without that of its compression."""
    plain = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
    return plain.suffix if plain.suffix in READERS else None


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, pa.ArrowInvalid, csv.Error) as error:
        raise InputError(f"{path} is damaged: {first_line(error)}") from error


class ZstandardStream(io.RawIOBase):
    """The bytes of a zstandard file, frame after frame. zstandard's own reader takes a cut-off file for a whole one."""

    def __init__(self, raw: IO[bytes]):
        self.raw, self.ready = raw, b""
        self.frame: zstandard.ZstdDecompressionObj | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes; EOFError where the file ends inside a frame."""
        while not self.ready and (compressed := self._compressed()):
            self.frame = self.frame or zstandard.ZstdDecompressor().decompressobj()
            self.ready = self.frame.decompress(compressed)
        count = min(len(buffer), len(self.ready))
        buffer[:count], self.ready = self.ready[:count], self.ready[count:]
        return count

    def _compressed(self) -> bytes:
        rest = b""
        if self.frame is not None and self.frame.eof:
            rest, self.frame = self.frame.unused_data, None
        compressed = rest or self.raw.read(2**17)
        if not compressed and self.frame is not None:
            raise EOFError("the file ends inside a zstandard frame")
        return compressed


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed."""
    with path.open("rb") as raw, _unpacked(path.suffix, raw) as file:
        require_text(path, file.peek(LOOKED_AT)[:LOOKED_AT])
        yield file


def _unpacked(suffix: str, raw: io.BufferedReader) -> Any:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    return io.BufferedReader(ZstandardStream(raw)) if suffix == ".zst" else raw


def _whole(path: Path) -> Texts:
    with _opened(path) as file:
        yield decode(file.read())


def _blocks(path: Path, field: str) -> Texts:
    """The runs of lines that blank lines separate."""
    block: list[bytes] = []
    with _opened(path) as file:
        for line in file:
            if line.strip():
                block.append(line)
            elif block:
                yield decode(b"".join(block).rstrip(b"\r\n"))
                block = []
    if block:
        yield decode(b"".join(block).rstrip(b"\r\n"))


def _json_lines(path: Path, field: str) -> Texts:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
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
            # JSON can spell half of a surrogate pair, which is no character and has no UTF-8.
            whole = row[field].encode(errors="replace").decode()
            yield whole, replaced or whole != row[field]


def _rows(path: Path, field: str) -> Texts:
    with _opened(path) as file:
        table = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline=""))
        if field not in (table.fieldnames or []):
            raise InputError(f"{path} has no column `{field}`; it has: {', '.join(table.fieldnames or [])}.")
        for row in table:
            text = row[field] or ""
            yield text, "\ufffd" in text


def _columns(path: Path, field: str) -> Texts:
    with pq.ParquetFile(path) as file:
        if field not in file.schema_arrow.names:
            raise InputError(f"{path} has no column `{field}`; it has: {', '.join(file.schema_arrow.names)}.")
        for batch in file.iter_batches(batch_size=1000, columns=[field]):
            for text in batch.column(0).to_pylist():
                yield text or "", False


READERS: dict[str, Callable[[Path, str], Texts]] = {
    ".txt": _blocks,
    ".jsonl": _json_lines,
    ".csv": _rows,
    ".parquet": _columns,
}
