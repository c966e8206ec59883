"""The bytes of files that are compressed with gzip or zstandard."""

import gzip
import io
from typing import IO, Any

import zstandard


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


def unpacked(suffix: str, raw: io.BufferedReader) -> Any:
    """A file's bytes, decompressed where its ending asks for it."""
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    return io.BufferedReader(ZstandardStream(raw)) if suffix == ".zst" else raw
