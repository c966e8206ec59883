"""The train side's tokens, in the files of its shards: read at any place, and never held in memory."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cratelm.errors import InputError


def token_type(vocabulary: int) -> np.dtype:
    """How the tokens of a vocabulary are stored: little-endian, in 16 bits, or in 32 where its ids need more."""
    return np.dtype("<u2" if vocabulary <= 2**16 else "<u4")


class TrainTokens:
    """The tokens of several files as one row, which slices read from the disk.

    The files are read, not mapped: pages of a mapped file count as the process's memory until somebody wants them
    back. The object can be sent to another process, which opens the files for itself.
    """

    def __init__(self, files: Sequence[Path], counts: Sequence[int], vocabulary: int):
        """`counts` says how many tokens each file holds; InputError names a file that holds something else."""
        self.files, self.vocabulary, self.type = list(files), vocabulary, token_type(vocabulary)
        self.ends = np.cumsum(counts)
        self._open: list[int] = []
        for file, count in zip(files, counts, strict=True):
            require_size(file, self.type.itemsize * count)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": []}

    def __getitem__(self, places: slice) -> np.ndarray:
        """The tokens at consecutive places: (places,) of `token_type`."""
        start, stop, _ = places.indices(len(self))
        first, last = np.searchsorted(self.ends, [start, stop - 1], side="right")
        parts = [self._read(file, start, stop) for file in range(int(first), int(last) + 1)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, file: int, start: int, stop: int) -> np.ndarray:
        """What one file holds of the places from `start` to `stop`."""
        if not self._open:
            self._open = [os.open(path, os.O_RDONLY) for path in self.files]
        before = int(self.ends[file - 1]) if file else 0
        start, stop = max(start, before), min(stop, int(self.ends[file]))
        size = self.type.itemsize
        data = os.pread(self._open[file], size * (stop - start), size * (start - before))
        tokens = np.frombuffer(data, dtype=self.type)
        if len(tokens) != stop - start or tokens.max(initial=0) >= self.vocabulary:
            raise InputError(
                f"{self.files[file]} is damaged at token {start - before}: it holds token {tokens.max(initial=0)} of a "
                f"vocabulary of {self.vocabulary}, or has been cut off. Remove its folder and tokenize again."
            )
        return tokens

    def __del__(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)


def require_size(file: Path, size: int) -> None:
    """Raise InputError where a file is missing, or not so many bytes long."""
    found = file.stat().st_size if file.is_file() else None
    if found != size:
        what = "is missing" if found is None else f"has {found:,} bytes instead of {size:,}"
        raise InputError(f"{file} {what}. Remove its folder and tokenize again.")
