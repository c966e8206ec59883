"""A small model of each kind, and the settings of autoencoders that are fitted to it within a second, for tests."""

from pathlib import Path

import pytest

from cratelm.artifacts import Artifact, open_artifact
from cratelm.progress import Progress
from cratelm.sae.config import SaeConfig
from cratelm.sae.train import train_saes
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train
from tests.shared import Shared

CONFIG = SaeConfig(width="2x", k=4, tokens=4000, batch=100, buffer=400, documents=6, learning_rate=3e-3)


def train_small(name: str, tokens: Artifact, out: Path, quiet: Progress) -> Artifact:
    """Two layers of 16, after 8,000 tokens."""
    shape = ShapeConfig(layers=2, width=16, heads=2, context=80)
    recipe = TrainingConfig(tokens=8_000, batch=4, compile="no", evaluations=1, evaluation_documents=2)
    return train(TrainConfig(model=name, shape=shape, training=recipe, seed=0), tokens, out, quiet)


@pytest.fixture(scope="module", params=["crate", "gpt2"])
def model(request, tokens: Artifact, shared: Shared, quiet: Progress) -> Artifact:
    """Each kind, trained."""
    name = request.param
    folder = shared.folder(f"small-{name}", lambda out: train_small(name, tokens, out / name, quiet))
    return open_artifact(folder / name, "model")


@pytest.fixture(scope="module")
def made(model: Artifact, tokens: Artifact, shared: Shared, quiet: Progress) -> Artifact:
    """Autoencoders on it."""
    name = f"small-{model.path.name}-saes"
    folder = shared.folder(name, lambda out: train_saes(CONFIG, model, tokens, out / "sae", quiet))
    return open_artifact(folder / "sae", "sae")
