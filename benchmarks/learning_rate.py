"""Which learning rate and warm-up each design wants: python benchmarks/learning_rate.py TOKENS OUT [MODEL …]

Trains every design at each point of the grid on 10 million tokens, two layers of width 128, one seed, and prints the
validation losses and the best point of each. TOKENS is a folder that `cratelm tokenize` made. Finished points are kept
in OUT/points.json, so the same command goes on after a stop.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from cratelm.artifacts import open_artifact, read_json, write_json
from cratelm.presets import train_preset
from cratelm.progress import Progress
from cratelm.training.train import train

TOKENS = 10_000_000
RATES = (2e-3, 4e-3, 8e-3, 1e-3, 1.6e-2)
WARMUPS = (0.05, 0.2)
"""Shares of the steps."""
MODELS = ("crate", "gpt2")


def main() -> None:
    """Run what is missing, and print the table after each point."""
    tokens, out = open_artifact(Path(sys.argv[1]), "tokens"), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    points = read_json(out / "points.json") if (out / "points.json").is_file() else {}
    # The rates at the usual warm-up first: they matter most.
    for warmup in WARMUPS:
        for rate in RATES:
            for model in sys.argv[3:] or MODELS:
                name = f"{model} {rate:g} {warmup:g}"
                if name not in points:
                    points[name] = loss(model, rate, warmup, tokens, out / name.replace(" ", "-"))
                    write_json(out / "points.json", points)
                    show(points)


def loss(model: str, rate: float, warmup: float, tokens, folder: Path) -> float:
    """The validation loss, in nats a token, at the end of one training."""
    base = train_preset("laptop")
    recipe = replace(base.training, tokens=TOKENS, learning_rate=rate, warmup=warmup)
    trained = train(replace(base, model=model, training=recipe), tokens, folder, Progress())
    found = read_json(trained.path / "training.json")["nats_per_token"]
    shutil.rmtree(folder)
    return found


def show(points: dict[str, float]) -> None:
    """A line a point, and the best of each design."""
    best: dict[str, str] = {}
    for name, nats in points.items():
        model = name.split()[0]
        if nats < points.get(best.get(model, ""), float("inf")):
            best[model] = name
    for name, nats in sorted(points.items()):
        print(f"{name:<28} {nats:.4f}" + "  best" * (name in best.values()))
    print(json.dumps(best), flush=True)


if __name__ == "__main__":
    main()
