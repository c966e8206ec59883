"""How fast the activation stream and SAELens's steps are.

    python benchmarks/sae.py MODEL TOKENS [SECONDS]

MODEL and TOKENS are finished stages. Printed: activations a second of the bare forward pass, of the stream that feeds
the trainers, and of training one site's TopK autoencoder of 1x, 4x and 16x, with the share of each part of a step.
"""

import sys
import time
from pathlib import Path

import torch

from cratelm.artifacts import open_artifact
from cratelm.corpus.read_tokens import read_train
from cratelm.corpus.training_windows import Windows
from cratelm.models.load import load_model
from cratelm.sae.config import SaeConfig
from cratelm.sae.fit_dictionary import make_trainers
from cratelm.sae.stream import TOKENS_AT_ONCE, ActivationStream
from cratelm.training.text_losses import context_length
from cratelm.units.sites import find_sites


def rate(work, seconds: float) -> float:
    """Activations a second of `work`, which is called with 0, 1, … and gives how many it made."""
    work(0)
    made, began, number = 0, time.perf_counter(), 1
    while time.perf_counter() - began < seconds:
        made += work(number)
        number += 1
    return made / (time.perf_counter() - began)


def forward(stream: ActivationStream):
    """The model alone, on batches as the stream has them."""
    rows = TOKENS_AT_ONCE // stream.windows.context

    @torch.inference_mode()
    def work(number: int) -> int:
        inputs = torch.stack([stream.windows[number * rows + row]["input_ids"] for row in range(rows)])
        stream.model.base_model(input_ids=inputs, use_cache=False)
        return inputs.numel()

    return work


def feed(stream: ActivationStream, batch: int):
    """The stream, with nobody to train."""
    return lambda number: sum(len(next(iter(made.values()))) for made in stream.batches(number, batch))


def parts(config: SaeConfig, stream: ActivationStream, seconds: float) -> None:
    """Training on activations that are there already, and where a step's time goes."""
    site = stream.sites[0]
    trainer = make_trainers(config, stream, 1000, "benchmark")[site]
    batches = [made[site] for made in stream.batches(0, config.batch)]

    def work(number: int) -> int:
        trainer.step(batches[number % len(batches)])
        trainer.n_training_steps += 1
        return config.batch

    speed = rate(work, seconds)
    with torch.profiler.profile() as profile:
        work(0)
    spent = sorted(profile.key_averages(), key=lambda entry: -entry.self_cpu_time_total)
    whole = sum(entry.self_cpu_time_total for entry in spent)
    top = ", ".join(f"{entry.key} {100 * entry.self_cpu_time_total / whole:.0f}%" for entry in spent[:6])
    print(f"{config.arch} {config.width}, {config.batch} a step: {speed:,.0f} activations/s ({top})")


def main() -> None:
    """Print the rates."""
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 10
    model = load_model(open_artifact(Path(sys.argv[1]), "model")).requires_grad_(False)
    windows = Windows(read_train(open_artifact(Path(sys.argv[2]), "tokens")), context_length(model), 10**9, 0)
    stream = ActivationStream(model, find_sites(model), windows, 2**15, 0)
    bare, fed = rate(forward(stream), seconds), rate(feed(stream, 4096), seconds)
    print(f"{torch.get_num_threads()} threads; {len(stream.sites)} sites")
    print(f"bare forward: {bare:,.0f} tokens/s; stream: {fed:,.0f} tokens/s, {100 * fed / bare:.0f}% of it")
    for width in ("1x", "4x", "16x"):
        parts(SaeConfig(width=width), stream, seconds)


if __name__ == "__main__":
    main()
