"""Whether this machine can do what a training asks for: everything that can be told before it begins."""

import os

import torch

from cratelm.disk import size
from cratelm.errors import RunError
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig
from cratelm.training.precision import use_fp16
from cratelm.training.processes import world_size
from cratelm.training.sharding import sharding_arguments
from cratelm.training.tracking import require_tracker

BYTES = 16
"""Of a weight: itself, its gradient and AdamW's two moments, each in float32."""


def require_able(config: TrainConfig) -> None:
    """Refuse a training that would fail only later: raises InputError or RunError, and touches nothing."""
    config.training.rows_at_once(world_size())
    require_memory(config.shape, sharded=config.training.sharded)
    if config.steps:
        use_fp16(config.training)
        sharding_arguments(config.training)
        require_tracker(config.training.track)


def require_memory(shape: ShapeConfig, sharded: bool = False) -> None:
    """Raise RunError where a model of this shape cannot be held while it is trained.

    Counts 4 d^2 weights a layer and d a position, which is less than any of our models has.
    """
    weights = shape.layers * 4 * shape.width**2 + shape.context * shape.width
    needed, there = BYTES * weights, _memory() * (world_size() if sharded else 1)
    if needed > there:
        raise RunError(
            f"a model of {shape.layers} layers and width {shape.width} takes more than {size(needed)} to train, and "
            f"this machine has {size(there)}. Choose a smaller shape."
        )


def _memory() -> int:
    """Bytes of the GPU, or of this machine where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
