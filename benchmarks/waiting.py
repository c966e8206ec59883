"""What one busy process beside a training costs, by how threads wait: python benchmarks/waiting.py

Training steps at the laptop's shape, compiled: alone, and beside a process that keeps one core busy. Limits that we
hold ourselves to, for the setting that `cratelm` chooses: at most 7% less than the fastest alone, and at least 1 / 2.1
of its own speed beside the busy process.
"""

import json
import os
import subprocess
import sys
import time

SETTINGS = {
    "as OpenMP has it": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}
BATCH, WARM, STEPS = 8, 15, 60


def tokens_a_second() -> float:
    """Of training steps in this process."""
    import torch

    from cratelm.models.build import build_model
    from cratelm.presets import train_preset
    from cratelm.training.precision import settled

    config = settled(train_preset("laptop"))
    model = build_model("crate", config.shape, 4096, 0, 0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    compiled = torch.compile(model)
    ids = torch.randint(0, 4096, (BATCH, config.shape.context))
    for step in range(WARM + STEPS):
        if step == WARM:
            began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bf16"):
            loss = compiled(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return STEPS * ids.numel() / (time.perf_counter() - began)


def measured(setting: dict[str, str]) -> float:
    """The same in a process of its own, with a setting."""
    ours = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | setting
    done = subprocess.run([sys.executable, __file__, "once"], env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Print a row a setting."""
    for name, setting in SETTINGS.items():
        alone = measured(setting)
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            beside = measured(setting)
        finally:
            busy.kill()
        print(
            f"{name:24} {alone:8,.0f} tokens/s alone, {beside:8,.0f} beside one busy process: 1 / {alone / beside:.2f}"
        )


if __name__ == "__main__":
    print(tokens_a_second()) if sys.argv[1:] == ["once"] else main()
