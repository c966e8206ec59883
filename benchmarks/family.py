"""Whether each relative of CRATE trains as fast as its operations allow: python benchmarks/family.py [NAME …]

A training step at the laptop's shape, compiled in bf16, in turn with CRATE's in the same process, on one core, in
seconds of that core. The figure is (operations a second) / (CRATE's operations a second), median of the rounds; the
limit that we hold ourselves to is 0.8. A relative is named for each mechanism, not for each combination of them.
"""

import os
import sys
import time
from collections.abc import Callable

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import torch
import torch._dynamo

from cratelm.models.build import build_model
from cratelm.models.flops import forward_flops, meta_model
from cratelm.shapes import ShapeConfig

NAMES = [
    "crate-1step",
    "crate-4step",
    "crate-learned",
    "crate-alpha",
    "crate-query",
    "crate-separate",
    "crate-complete",
    "gpt2",
    "gpt2-topk",
    "gpt2-l1",
    "gpt2-mssa",
]
torch._dynamo.config.recompile_limit = 64  # all models pass through the same functions
SHAPE, VOCABULARY, BATCH, ROUNDS, STEPS = ShapeConfig(), 4096, 8, 7, 6


def stepper(name: str) -> Callable[[], object]:
    """A training step of the model of that name, compiled and warmed up."""
    model = build_model(name, SHAPE, VOCABULARY, 0, 0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(0, VOCABULARY, (BATCH, SHAPE.context + 1), generator=torch.Generator().manual_seed(0))
    forward = torch.compile(model, dynamic=False)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = forward(input_ids=ids[:, :-1], shift_labels=ids[:, 1:], use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()
    return step


def seconds(step: Callable[[], object]) -> float:
    """This process's processor time for some steps."""
    began = time.process_time()
    for _ in range(STEPS):
        step()
    return time.process_time() - began


def operations(name: str) -> float:
    """Of a token's forward pass."""
    return forward_flops(meta_model(name, SHAPE, VOCABULARY), SHAPE.context)


def main() -> None:
    """Print a line for each name."""
    crate = stepper("crate")
    for name in sys.argv[1:] or NAMES:
        other, pairs = stepper(name), []
        for _ in range(ROUNDS):
            pairs.append((seconds(crate), seconds(other)))
        more = operations(name) / operations("crate")
        ratios = sorted(more * mine / theirs for mine, theirs in pairs)
        middle = sorted(theirs / mine for mine, theirs in pairs)[ROUNDS // 2]
        print(
            f"{name}: {more:.2f} times CRATE's operations in {middle:.2f} times its time: {ratios[ROUNDS // 2]:.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
