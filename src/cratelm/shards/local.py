"""The engine `local`: worker processes of this machine.

A pool of `multiprocessing`, and datatrove's on top of it, waits for ever for a worker that was killed. These notice.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from typing import NoReturn

from cratelm.errors import RunError
from cratelm.shards.config import EngineConfig
from cratelm.shards.job import Job, Tell, left


def require_local(engine: EngineConfig, threads: int | None) -> None:
    """There is always this machine."""


def run_local(job: Job, engine: EngineConfig, tell: Tell) -> None:
    """Make the job's missing shards. Raises what a worker raised, and RunError where one was killed."""
    if engine.workers == 1:
        _run_here(job)
        return
    todo = job.missing()
    with _workers(job, min(engine.workers, len(todo))) as workers:
        busy: dict[Connection, _Worker] = {}
        idle = list(workers)
        while todo or busy:
            while todo and idle:
                worker = idle.pop()
                worker.begin(todo.pop(0))
                busy[worker.pipe] = worker
            for pipe in wait(list(busy)):
                worker = busy.pop(pipe)  # type: ignore[arg-type]
                worker.finish()
                idle.append(worker)


def _run_here(job: Job) -> None:
    """One after another in this process, which may itself be an engine's worker and have none of its own."""
    for shard in job.missing():
        job.make(shard)


class _Worker:
    """A process that makes one shard after another; the pipe ends when it does."""

    def __init__(self, context: ForkServerContext, job: Job) -> None:
        self.pipe, theirs = context.Pipe()
        self._job = job
        self._shard = -1
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, shard: int) -> None:
        self._shard = shard
        try:
            self.pipe.send(shard)
        except BrokenPipeError:
            self._tell_death()

    def finish(self) -> None:
        """Take the answer. Raises what the shard raised, and RunError where the process has died."""
        try:
            error = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._tell_death()
        if error is not None:
            raise error

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()

    def _tell_death(self) -> NoReturn:
        self._process.join()
        status = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        full = ", as the system does when the memory is full" if status == -signal.SIGKILL else ""
        raise RunError(f"the worker that made shard {self._shard} {how}{full}. {left(self._job)}.")


@contextmanager
def _workers(job: Job, count: int) -> Iterator[list[_Worker]]:
    context = multiprocessing.get_context("forkserver")
    # Imports take a worker seconds: workers are forked from a process that has imported what the first work needs.
    context.set_forkserver_preload([type(job.work).__module__])
    workers: list[_Worker] = []
    try:
        workers += (_Worker(context, job) for _ in range(count))
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def _serve(pipe: Connection, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which stops its workers
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    while True:
        pipe.send(job.attempt(pipe.recv()))


def _end_with_the_command() -> None:
    """A worker whose command was killed must not write next to the workers of the command that goes on."""
    command = multiprocessing.parent_process()
    assert command is not None
    command.join()
    os._exit(1)
