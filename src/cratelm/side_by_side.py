"""Work that shares nothing, done in several processes of this machine at once, with one display of progress.

Measuring a model keeps one core busy and hardly a second one: the passes over the text wait for their sums. So a
study measures as many models at once as there are cores.
"""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Lock
from types import ModuleType
from typing import Any

from cratelm.errors import InputError, RunError
from cratelm.progress import Bar, Progress

Job = Callable[[Progress], object]
"""Picklable. What it returns is lost: its result is what it writes."""
Send = Callable[..., None]
STARTED = "spawn"
"""A fresh process each: a fork of one whose threads compute may wait for locks that nobody opens."""


def cores_for(jobs: int) -> tuple[int, int]:
    """How many jobs run at once, and on how many threads each: OMP_NUM_THREADS where it is set."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return max(1, min(jobs, cores // int(asked))), int(asked)
    at_once = max(1, min(jobs, cores))
    return at_once, cores // at_once


def run_side_by_side(jobs: Sequence[Job], at_once: int, threads: int, progress: Progress) -> None:
    """Run every job in one of `at_once` processes of `threads` threads each.

    The first error that a job raises is raised here, and the others are stopped. RunError where a process is killed.
    """
    waiting = deque(jobs)
    with _processes(min(at_once, len(jobs)), threads) as workers:
        idle = list(workers)
        with _Display(progress) as display:
            while waiting or len(idle) < len(workers):
                while waiting and idle:
                    idle.pop().connection.send(waiting.popleft())
                busy = [worker for worker in workers if worker not in idle]
                idle += [worker for worker in _heard(busy) if _finished(worker, display)]


@dataclass(frozen=True, eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection


@contextmanager
def _processes(workers: int, threads: int) -> Iterator[list[_Worker]]:
    """Processes that wait for jobs; stopped in the end, whatever they do."""
    started: list[_Worker] = []
    try:
        for _ in range(workers):
            ours, theirs = get_context(STARTED).Pipe()
            process = get_context(STARTED).Process(target=_work, args=(theirs,))
            # What they do is shown here: bars of their own would cross ours.
            own = _environment(OMP_NUM_THREADS=str(threads), HF_HUB_DISABLE_PROGRESS_BARS="1")
            with own, _no_main_module():
                process.start()
            theirs.close()
            started.append(_Worker(process, ours))
        yield started
    finally:
        for worker in started:
            worker.process.terminate()
            worker.process.join()
            worker.connection.close()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Variables that processes started meanwhile have."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Processes started meanwhile do not run this one's main script again: jobs are functions of modules, and a
    person's script that calls `cratelm.study` would start a study in each of them."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _heard(workers: list[_Worker]) -> list[_Worker]:
    """Those of whom something can be read, if only that they have gone."""
    ready = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in ready]


def _finished(worker: _Worker, display: "_Display") -> bool:
    """Take one message; whether it says that the job is done."""
    try:
        kind, *content = worker.connection.recv()
    except EOFError:
        worker.process.join()
        raise _ended(worker.process.exitcode or 0) from None
    if kind == "failed":
        raise content[0]
    if kind != "done":
        display.show(worker, kind, *content)
    return kind == "done"


def _ended(status: int) -> Exception:
    """Why a process may have gone without a word."""
    if status >= 0:
        return RuntimeError("a process of this command failed: its traceback stands above.")
    return RunError(
        f"a process of this command was killed by signal {-status}, perhaps because the memory was not enough. Run the "
        f"same command again to go on. With OMP_NUM_THREADS={os.cpu_count()} it computes in one process."
    )


class _Display:
    """The bars of all processes, in one place."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: dict[tuple[_Worker, int], tuple[Any, Bar]] = {}

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *error: object) -> None:
        for task, _ in self._open.values():
            task.__exit__(None, None, None)

    def show(self, worker: _Worker, kind: str, *content: Any) -> None:
        """What a process tells: `say`, that a stage has finished, or that a bar begins, advances or ends."""
        if kind == "say":
            self._progress.say(*content)
        elif kind == "finish":
            self._progress.finish(*content)
        elif kind == "begin":
            task = self._progress.task(*content[1:])
            self._open[worker, content[0]] = task, task.__enter__()
        elif kind == "advance":
            self._open[worker, content[0]][1].advance(*content[1:])
        else:
            self._open.pop((worker, content[0]))[0].__exit__(None, None, None)


class _SentBar(Bar):
    """A bar that another process shows."""

    def __init__(self, send: Send, number: int) -> None:
        self._send, self._number = send, number

    def advance(self, steps: float = 1, note: str = "", tokens: int = 0) -> None:
        """As Bar does."""
        self._send("advance", self._number, steps, note, tokens)


class _SentProgress(Progress):
    """Progress that another process shows."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._numbers = connection, count()
        self._lock = Lock()  # a stage may watch its work from a second thread, and messages must not mix

    def _send(self, *message: Any) -> None:
        with self._lock:
            self._connection.send(message)

    def say(self, message: str) -> None:
        """As Progress does."""
        self._send("say", message)

    def finish(self, name: str, seconds: float | None) -> None:
        """As Progress does."""
        self._send("finish", name, seconds)

    @contextmanager
    def task(self, description: str, total: float | None = None, done: float = 0) -> Iterator[Bar]:
        """As Progress does."""
        number = next(self._numbers)
        self._send("begin", number, description, total, done)
        try:
            yield _SentBar(self._send, number)
        finally:
            self._send("end", number)


def _work(connection: Connection) -> None:
    """What each process does: one job after the other, as they come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it too, and stops the others
    while True:
        job = connection.recv()
        try:
            job(_SentProgress(connection))
        except (InputError, RunError) as error:
            connection.send(("failed", error))
        else:
            connection.send(("done",))
