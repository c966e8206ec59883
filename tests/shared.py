"""What a run of the tests makes once for all of its workers: the first that needs it makes it, the others wait."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Shared:
    """Folders that tests read and never change; `close` fails if one of them was changed."""

    def __init__(self, root: Path):
        self.root = root
        self.used: set[str] = set()

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of that name, filled by `make` once in a run. Copy it to change it."""
        folder = self.root / name
        with locked(self.root / f"{name}.lock"):
            if not self._done(name).exists():  # also after a worker that failed half-way
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                self._done(name).write_text(json.dumps(state_of(folder)))
        self.used.add(name)
        return folder

    def close(self) -> None:
        """Name the folder that a test changed: tests in other workers may have read the change."""
        for name in self.used:
            before, after = json.loads(self._done(name).read_text()), state_of(self.root / name)
            changed = [path for path in before | after if before.get(path) != after.get(path)]
            assert not changed, f"a test changed the shared folder {name}: {changed[:5]}"

    def _done(self, name: str) -> Path:
        return self.root / f"{name}.done"


def root_of(basetemp: Path) -> Path:
    """The temporary folder of the whole run: pytest-xdist gives each worker a folder inside it."""
    return basetemp.parent if "PYTEST_XDIST_WORKER" in os.environ else basetemp


def state_of(folder: Path) -> dict[str, list[int]]:
    """Size and time of change of every file."""
    files = {str(path.relative_to(folder)): path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {path: [stat.st_size, stat.st_mtime_ns] for path, stat in files.items()}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes that lock this path; the system frees the lock of a process that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
