"""A GPU gives what the processor gives, to rounding. `benchmarks/gpu.py` runs these; without a GPU they are skipped."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cratelm.artifacts import read_json
from cratelm.models.build import build_model
from cratelm.records.record import record
from cratelm.records.store import read_units
from cratelm.training.config import TrainConfig
from cratelm.training.train import train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU"),
]


@pytest.mark.parametrize("name", ["crate", "crate-alpha", "gpt2"])
def test_logits_are_those_of_the_processor(name, small_study) -> None:
    model = build_model(name, small_study.shape, 300, 0, 0).eval()
    ids = torch.arange(40).reshape(2, 20)
    with torch.inference_mode():
        expected = model(ids).logits
        found = model.to("cuda")(ids.to("cuda")).logits.cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_recorded_statistics_are_those_of_the_processor(small_study, tokens, tmp_path, quiet) -> None:
    untrained = replace(small_study.training, tokens=0)
    model = train(TrainConfig(shape=small_study.shape, training=untrained), tokens, tmp_path / "model", quiet)
    cpu, cuda = (
        record(small_study.records, model, tokens, tmp_path / device, quiet, device=device)
        for device in ("cpu", "cuda")
    )
    for layer in range(small_study.shape.layers):
        here, there = (read_units(made, layer, "score") for made in (cpu, cuda))
        for column in ("mean", "maximum"):
            np.testing.assert_allclose(there[column], here[column], rtol=1e-3, atol=1e-6)


def test_fp16_and_bf16_train_to_the_loss_of_fp32(small_study, tokens, tmp_path, quiet) -> None:
    losses = {}
    for precision in ("fp32", "bf16", "fp16"):
        recipe = replace(small_study.training, precision=precision)
        made = train(TrainConfig(shape=small_study.shape, training=recipe), tokens, tmp_path / precision, quiet)
        losses[precision] = read_json(made.path / "training.json")["nats_per_token"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.05)
    assert losses["fp16"] == pytest.approx(losses["fp32"], abs=0.05)
