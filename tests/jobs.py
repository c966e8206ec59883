"""Jobs for other processes. They import little: each process that runs one imports this file again."""

import os
import signal
import time
from pathlib import Path

from cratelm.errors import InputError
from cratelm.progress import Progress


def note(folder: Path, name: str, progress: Progress) -> None:
    """Leave a file that says who worked."""
    with progress.task(f"working on {name}", total=2) as bar:
        bar.advance(2)
    (folder / name).write_text(str(os.getpid()))


def note_threads(folder: Path, name: str, progress: Progress) -> None:
    """Leave a file that says who worked, and on how many threads."""
    import torch

    (folder / name).write_text(f"{os.getpid()} {torch.get_num_threads()}")


def refuse(progress: Progress) -> None:
    """Fail by the user's mistake."""
    raise InputError("this text is too short.")


def fail(progress: Progress) -> None:
    """Fail by a mistake of the program."""
    raise KeyError("a bug")


def die(progress: Progress) -> None:
    """What the system does to a process when the memory is full."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait_long(folder: Path, progress: Progress) -> None:
    """Leave a file that says who waits, and wait longer than any test."""
    (folder / "waiting").write_text(str(os.getpid()))
    time.sleep(600)
