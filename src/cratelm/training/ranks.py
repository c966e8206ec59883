"""Which process of a distributed run this is. One process is a run of its own."""

import os

import torch
from accelerate import PartialState


def rank() -> int:
    """This process's number: 0 writes what is shared."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes() -> PartialState:
    """The group of them, joined at the first call: gloo on CPUs, NCCL on GPUs."""
    return PartialState(cpu=not torch.cuda.is_available())
