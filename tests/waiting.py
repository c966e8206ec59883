"""Commands in processes of their own, and what has to be so after a while."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PYTHONPATH = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
"""Processes that are started find the tests as well."""


def launch(engine: str, folder: Path, log: Path) -> subprocess.Popen:
    """Make two shards, the first of which takes long the first time that it is begun."""
    command = [sys.executable, "-m", "tests.waiting", engine, str(folder), str(log)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": PYTHONPATH}, stdout=subprocess.PIPE, text=True)


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Look until something is so; an assertion fails where it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Whether a process is there and no zombie, which waits for a parent to ask for it."""
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something next to the block; what goes wrong there is raised at its end."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result()


def begun(folder: Path) -> int:
    """The process that makes shard 0, once it is there."""
    file = folder / "begun-0"
    wait_until(lambda: file.is_file() and bool(file.read_text()))
    return int(file.read_text())


def main() -> None:
    """What `launch` runs."""
    from cratelm.shards.config import EngineConfig
    from cratelm.shards.run import run_shards
    from tests.noted import Struck, rest

    engine, folder, log = sys.argv[1], *map(Path, sys.argv[2:])
    sys.stdout.reconfigure(line_buffering=True)
    run_shards(Struck(folder, 0, rest), range(2), EngineConfig(engine=engine, workers=2), log, print)


if __name__ == "__main__":
    main()
