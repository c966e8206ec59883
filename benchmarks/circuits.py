"""What taking a unit apart costs: python benchmarks/circuits.py [MODEL]

small   One target on 256 tokens at the laptop's shape (limit 50 ms), and a graph of depth 2 (limit 300 ms).
large   A unit of the last of 12 layers of 3,072 units on 1,024 tokens, GPT-2 and CRATE: limits 3 s and 2 GB.

Each in a process of its own; MODEL is a trained model's folder for `small`, by default one with random weights.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.graph import trace
from cratelm.circuits.tape import Tape
from cratelm.models.build import build_model
from cratelm.presets import train_preset
from cratelm.sae.open import load_network
from cratelm.shapes import ShapeConfig
from cratelm.units.sites import find_sites

LARGE = ShapeConfig(layers=12, width=768, heads=12, context=1024)


def milliseconds(work) -> float:
    """The median of five, after one that is not counted."""
    times = []
    for _ in range(6):
        began = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - began))
    return sorted(times[1:])[2]


def measure(name: str, shape: ShapeConfig, vocabulary: int, tokens: int, folder: str) -> None:
    """The times and the memory of one model."""
    model = load_network(Path(folder)) if folder else build_model(name, shape, vocabulary, 0, 0).eval()
    sites = find_sites(model)
    ids = torch.randint(0, vocabulary, (tokens,), generator=torch.Generator().manual_seed(0))
    target = Target(len(sites) - 1, 37, tokens - 1)
    whole = milliseconds(lambda: attribute(Tape.of(model, sites, ids), target))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name}, {len(sites)} layers, {tokens} tokens: {whole:.0f} ms, peak {peak:.2f} GB", flush=True)
    if shape != LARGE:
        graph = milliseconds(lambda: trace(Tape.of(model, sites, ids), ids, target, depth=2))
        print(f"    a graph of depth 2: {graph:.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        _, _, name, size, folder = sys.argv
        small = size == "small"
        measure(name, train_preset("laptop").shape if small else LARGE, 4096, 256 if small else 1024, folder)
    else:
        for size in ("small", "large"):
            for name in ("crate", "gpt2"):
                folder = sys.argv[1] if len(sys.argv) > 1 and size == "small" else ""
                subprocess.run([sys.executable, __file__, "one", name, size, folder], check=True)
