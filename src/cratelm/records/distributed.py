"""Shards on the processes of one `torchrun`, a GPU each: rank 0 runs the stage, the others work on its shards."""

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from cratelm.errors import RunError
from cratelm.training.processes import join_slurm, world_size

A_WEEK = datetime.timedelta(days=7)
"""How long a rank waits for another: longer than any stage takes."""


@contextmanager
def on_ranks() -> Iterator[bool]:
    """Whether this process leads: rank 0, or the only process. Any other works here until the leader is done."""
    join_slurm()
    if world_size() == 1:
        yield True
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("gloo", timeout=A_WEEK)
    leads = dist.get_rank() == 0
    try:
        if not leads:
            _serve()
        yield leads
    finally:
        if leads:
            dist.broadcast_object_list([None], 0)
        dist.destroy_process_group()


def run_on_ranks(work: Callable[[int], None], shards: list[int]) -> None:
    """The leader's call: all ranks work on the shards, each on every so-manieth.

    Raises RunError where one of them failed.
    """
    dist.broadcast_object_list([(work, shards)], 0)
    failed = [f"rank {rank}: {error}" for rank, error in enumerate(_work(work, shards)) if error]
    if failed:
        raise RunError("; ".join(failed) + ". Run the same command again to go on.")


def _serve() -> None:
    job: list[Any] = [None]
    while True:
        dist.broadcast_object_list(job, 0)
        if job[0] is None:
            return
        _work(*job[0])


def _work(work: Callable[[int], None], shards: list[int]) -> list[str | None]:
    error = None
    try:
        for number in shards[dist.get_rank() :: dist.get_world_size()]:
            work(number)
    except Exception as raised:  # told to the leader, who stops everyone
        error = repr(raised)
    errors: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(errors, error)
    return errors
