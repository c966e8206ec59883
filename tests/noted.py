"""Work on shards that a worker imports at once."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Noted:
    """Notes the shards that it was called with, and dies at one of them."""

    folder: Path
    dies_at: int | None = None

    def __call__(self, number: int) -> None:
        if number == self.dies_at:
            raise KeyboardInterrupt
        with (self.folder / str(number)).open("x"):  # which refuses to be called twice
            pass


def kill() -> None:
    """What the system does to a process when the memory is full."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill() -> None:
    """Write to a disk that is full."""
    with Path("/dev/full").open("w") as full:
        full.write("x" * 100_000)


def rest() -> None:
    """Longer than any test waits."""
    time.sleep(600)


def pause() -> None:
    """Long enough for somebody to look."""
    time.sleep(3)


@dataclasses.dataclass(frozen=True)
class Struck:
    """Notes what it made, as `Noted` does, after something befell one shard: the first time it was begun, or always."""

    folder: Path
    shard: int
    befalls: Callable[[], None]
    always: bool = False

    def __call__(self, number: int) -> None:
        if number == self.shard and (self._begun() or self.always):
            self.befalls()
        Noted(self.folder)(number)

    def _begun(self) -> bool:
        """Whether this is the first time; the file holds the process's number."""
        file = self.folder / f"begun-{self.shard}"
        first = not file.exists()
        file.write_text(str(os.getpid()))
        return first


def made(folder: Path) -> set[str]:
    """The shards that were made."""
    return {path.name for path in folder.iterdir() if path.name.isdigit()}
