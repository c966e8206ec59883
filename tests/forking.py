"""Processes that have imported already what takes seconds to import."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from typing import Any


def forking() -> ForkServerContext:
    """Starts processes by forks of one that is started once; what it has imported is fixed from then on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.dying", "tests.killed", "tests.model_server"])
    return context


def run_on_two_ranks(work: Callable[..., object], *arguments: Any) -> list[int | None]:
    """The exit statuses of two processes that find each other as torchrun's do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [forking().Process(target=_as_rank, args=(rank, port, work, arguments)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=300)
    return [rank.exitcode for rank in ranks]


def _as_rank(rank: int, port: int, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
    work(*arguments)
