"""Processes that have imported already what takes seconds to import."""

import multiprocessing
from multiprocessing.context import ForkServerContext


def forking() -> ForkServerContext:
    """Starts processes by forks of one that is started once; what it has imported is fixed from then on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.dying", "tests.killed", "tests.model_server"])
    return context
