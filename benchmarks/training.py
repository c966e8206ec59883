"""What training costs beside its own arithmetic: python benchmarks/training.py

trainer     The Trainer, as `cratelm train` uses it, against a bare loop with the same model, batches and precision, at
            the laptop preset, compiled: at most 10% slower.
checkpoint  Writing and committing a checkpoint of the paper's 1L: once a minute, under 2% of the run.
"""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import torch
from rich.console import Console

from cratelm.artifacts import Artifact, write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.read_tokens import read_train
from cratelm.corpus.tokens import tokenize
from cratelm.corpus.training_windows import Windows
from cratelm.models.build import build_model
from cratelm.presets import train_preset
from cratelm.progress import Progress
from cratelm.stages import IDENTITY
from cratelm.training.checkpoints import commit
from cratelm.training.fit import fit
from cratelm.training.heldout_loss import Validation
from cratelm.training.precision import settled

STEPS = 150
WARM = 20
"""Steps before the clock starts: compilation is in them."""


def bare(tokens: Artifact, steps: int) -> float:
    """Seconds of a plain loop over the steps after the warm-up."""
    config = train_preset("laptop")
    bf16 = settled(config).training.precision == "bf16"
    model = build_model("crate", config.shape, 4096, 0, 0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    windows = Windows(read_train(tokens), config.shape.context, steps * 8, seed=0)
    compiled = torch.compile(model)
    for step in range(steps):
        if step == WARM:
            began = time.perf_counter()
        rows = [windows[step * 8 + row] for row in range(8)]
        batch = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = compiled(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - began


def trained(tokens: Artifact, steps: int, folder: Path) -> float:
    """Seconds of the same steps by `fit`, of which checkpoints and evaluations are no part."""
    config = train_preset("laptop")
    recipe = replace(config.training, tokens=steps * config.batch_tokens, evaluations=1)
    config = replace(config, training=recipe)
    model = build_model("crate", config.shape, 4096, 0, 0)
    validation = Validation(tokens)
    write_json(folder.parent / IDENTITY, {})  # which names the run
    times = []

    class Clock(Progress):
        def task(self, name, total=None, done=0):
            outer = super().task(name, total, done)

            class Timed:
                def __enter__(self):
                    bar = outer.__enter__()
                    advance = bar.advance

                    def timed(*arguments):
                        times.append(time.perf_counter())
                        advance(*arguments)

                    bar.advance = timed
                    return bar

                def __exit__(self, *error):
                    return outer.__exit__(*error)

            return Timed()

    fit(config, model, tokens, validation, folder, lambda share: None, Clock(Console(quiet=True)))
    return times[-1] - times[WARM - 1]


def checkpoint(folder: Path) -> float:
    """Seconds to write and commit weights and optimizer of the paper's 1L."""
    model = build_model("crate", train_preset("paper-1l").shape, 50257, 0, 0)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    began = time.perf_counter()
    model.save_pretrained(folder / "checkpoint-1")
    torch.save(optimizer.state_dict(), folder / "checkpoint-1" / "optimizer.pt")
    commit(folder / "checkpoint-1", "benchmark")
    return time.perf_counter() - began


def main() -> None:
    """Print the two figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = tokenize(CorpusConfig(documents=5000), folder / "tokens", Progress(Console(quiet=True)))
        ratios = []
        for run in range(3):
            plain, ours = bare(tokens, STEPS), trained(tokens, STEPS, folder / f"{run}")
            ratios.append(ours / plain)
            print(
                f"bare loop {plain:.2f} s, Trainer {ours:.2f} s for {STEPS - WARM} steps: {ratios[-1]:.3f}", flush=True
            )
        print(f"Trainer over bare loop, median: {sorted(ratios)[1]:.3f}")
        seconds = checkpoint(folder)
        print(f"a committed checkpoint of 1L: {seconds:.2f} s, once a minute {seconds / 60:.1%} of the run")


if __name__ == "__main__":
    main()
