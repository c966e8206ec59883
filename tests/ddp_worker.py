"""One process of a distributed training: python ddp_worker.py TOKENS OUT, under torchrun."""

import sys
from pathlib import Path

from cratelm.artifacts import open_artifact
from cratelm.models.shapes import ShapeConfig
from cratelm.progress import Progress
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train

SHAPE = ShapeConfig(layers=2, width=16, heads=2, context=64)
TRAINING = TrainingConfig(tokens=50 * 4 * 64, batch=4, at_once=1, compile="no", precision="fp32", evaluations=4)
CONFIG = TrainConfig(model="crate", shape=SHAPE, training=TRAINING)

if __name__ == "__main__":
    train(CONFIG, open_artifact(Path(sys.argv[1]), "tokens"), Path(sys.argv[2]), Progress())
