"""What an engine is given: the work, the numbers of its shards, and where it is marked which are done.

What a shard is never depends on the engine or on the number of workers, so neither do the bytes. All engines mark
shards alike, so that one goes on where another was stopped.
"""

import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cratelm.errors import RunError, first_line

Tell = Callable[[str], None]
"""Tells the person one line."""


@dataclass(frozen=True)
class Job:
    """Picklable, where `work` is."""

    work: Callable[[int], None]
    shards: Sequence[int]
    log: Path
    """An absolute path, on a disk that all workers share."""
    threads: int | None = None
    """How many threads a worker computes with, on which the last bits of sums depend. None: it does not use torch."""
    folder: Path = field(default_factory=Path.cwd)
    """Where relative paths in `work` begin."""

    def make(self, shard: int) -> None:
        """Make one shard and mark it as done, in this process."""
        self.work(shard)
        mark = self.mark(shard)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()

    def attempt(self, shard: int) -> Exception | None:
        """Make one shard in a worker process; gives what went wrong, as the command can raise it."""
        try:
            os.chdir(self.folder)
            self._set_threads()
            self.make(shard)
        except Exception as error:  # told to the command, which decides
            return _portable(error)
        return None

    def mark(self, shard: int) -> Path:
        """The file that says that a shard is done."""
        return self.log / "completions" / f"{shard:05d}"

    def missing(self) -> list[int]:
        """The shards that are not done."""
        return [shard for shard in self.shards if not self.mark(shard).is_file()]

    def _set_threads(self) -> None:
        """The work has imported torch, or imports it later, which then reads the environment."""
        if self.threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(self.threads)
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(self.threads)


def left(job: Job) -> str:
    """What a person is told at the end of every failure."""
    return f"{len(job.missing())} of {len(job.shards)} shards are not made yet. Run the same command again to go on"


def _portable(error: Exception) -> Exception:
    """The error, or where another process could not read it what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does
        return RunError(f"{type(error).__name__}: {first_line(error)}")
    return error
