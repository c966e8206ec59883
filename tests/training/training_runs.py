"""A training of a second or two: python training_runs.py TOKENS OUT STEPS, also under torchrun."""

import sys
from dataclasses import replace
from pathlib import Path

from cratelm.artifacts import open_artifact
from cratelm.progress import Progress
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train

SHAPE = ShapeConfig(layers=2, width=16, heads=2, context=64)
TRAINING = TrainingConfig(
    tokens=50 * 4 * 64,
    batch=4,
    at_once=1,
    compile="no",
    precision="fp32",
    evaluations=5,
    evaluation_documents=5,
)
CONFIG = TrainConfig(model="crate", shape=SHAPE, training=TRAINING)


def longer(config: TrainConfig, steps: int) -> TrainConfig:
    """The same over other steps."""
    return replace(config, training=replace(config.training, tokens=steps * config.batch_tokens))


def run(tokens: Path, out: Path, config: TrainConfig = CONFIG) -> None:
    """Train in this process."""
    train(config, open_artifact(tokens, "tokens"), out, Progress())


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), longer(CONFIG, int(sys.argv[3])))
