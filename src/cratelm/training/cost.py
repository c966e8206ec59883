"""What a training would take, before it is begun: nothing is computed, the model is on the meta device."""

from typing import Any

from cratelm.models.flops import activation_bytes, forward_flops, meta_model
from cratelm.training.config import TrainConfig

HARDWARE = {
    "2 cores with avx512_bf16": (0.95e12, 0.35),
    "RTX A5000": (111e12, 0.3),
    "A100": (312e12, 0.35),
    "H100": (989e12, 0.15),
    "8 x H100": (8 * 989e12, 0.13),
    "32 x RTX A5000": (32 * 111e12, 0.25),
}
"""The highest speed in bf16, operations a second, and the share of it that is assumed. The first is measured
(docs/log.md: 32% to 54%); of the others the speed is the makers' for dense products, and the share a guess but for
H100's, which was read once, on an H200."""
FULL = 4
"""Bytes of a weight, of its gradient, and of each of AdamW's two moments."""


def plan(config: TrainConfig, vocabulary: int, processes: int) -> dict[str, Any]:
    """Parameters, operations, memory, checkpoint size and hours of a training."""
    model = meta_model(config.model, config.shape, vocabulary)
    weights, tokens = model.num_parameters(), config.steps * config.batch_tokens
    forward = forward_flops(model, config.shape.context)
    total = 3 * forward * tokens  # the backward pass has two products for each of the forward one
    rows = config.training.rows_at_once(processes)
    return {
        "model": config.model,
        "parameters": weights,
        "steps": config.steps,
        "tokens": tokens,
        "batch_tokens": config.batch_tokens,
        "windows_at_once": rows,
        "accumulation": config.training.accumulation(processes),
        "forward_flops_per_token": forward,
        "training_flops": total,
        "training_flops_by_6N": 6 * weights * tokens,
        "weights_and_optimizer_bytes": 4 * FULL * weights,
        "activation_bytes": activation_bytes(model, rows, config.shape.context),
        "checkpoint_bytes": 3 * FULL * weights,
        "hours": {name: total / (speed * share) / 3600 for name, (speed, share) in HARDWARE.items()},
    }
