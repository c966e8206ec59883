"""Training loses nothing: it resumes after a kill with the same bytes, and a NaN stops it."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cratelm.artifacts import Artifact, open_artifact
from cratelm.corpus.read_tokens import read_side, read_tokenizer
from cratelm.corpus.tokenizer import END_OF_TEXT
from cratelm.errors import RunError
from cratelm.models.build import build_model
from cratelm.models.load import load_causal_lm
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.shapes import ShapeConfig
from cratelm.training.checkpoints import COMMIT, commit, newest_committed
from cratelm.training.config import TrainConfig
from cratelm.training.heldout_loss import Validation, document_losses
from cratelm.training.train import train
from tests.shared import Shared


@pytest.fixture(scope="module")
def config(small_study: StudyConfig) -> TrainConfig:
    training = replace(small_study.training, tokens=40 * 4 * 64, evaluations=4)
    return TrainConfig(model="crate", shape=replace(small_study.shape, context=64), training=training)


@pytest.fixture(scope="module")
def whole(config: TrainConfig, tokens: Artifact, shared: Shared, quiet: Progress) -> Artifact:
    """The training that nothing happened to."""
    folder = shared.folder("whole-run", lambda out: train(config, tokens, out / "model", quiet))
    return open_artifact(folder / "model", "model")


class Stop(Exception):
    """Stands for the end of the process, where a real kill could not be timed."""


@pytest.fixture(scope="module")
def stopped(config: TrainConfig, tokens: Artifact, shared: Shared, quiet: Progress) -> Path:
    """The folder of a training `a` that ended at its third validation."""

    def make(out: Path) -> None:
        validated = []

        def stop_at_the_third(*arguments):
            validated.append(1)
            if len(validated) == 3:
                raise Stop
            return document_losses(*arguments)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
            patch.setattr("cratelm.training.heldout_loss.document_losses", stop_at_the_third)
            train(config, tokens, out / "a", quiet)

    return shared.folder("stopped-run", make)


def outputs(model: Artifact) -> dict[str, dict]:
    return model.manifest["outputs"]


def test_held_out_loss_equals_a_loop_over_single_tokens(tokens: Artifact) -> None:
    tokenizer = read_tokenizer(tokens)
    end_of_text = tokenizer.token_to_id(END_OF_TEXT)
    model = build_model("gpt2", ShapeConfig(width=16, heads=2, context=30), 300, end_of_text, 0).eval()
    side = read_side(tokens, "validation")
    found = document_losses(model, side, end_of_text, 9 * np.ones(len(side.ends)), batch=7)
    start = 0
    for number, end in enumerate(side.ends[:5]):
        text, nats = side.tokens[start : end - 1].astype(int), 0.0
        for first in range(0, len(text), 30):
            piece = text[first : first + 30]
            log_p = model(input_ids=torch.tensor([[end_of_text, *piece[:-1]]])).logits[0].double().log_softmax(-1)
            nats -= sum(log_p[k, token].item() for k, token in enumerate(piece))
        assert found.nats[number] == pytest.approx(nats, rel=1e-5)
        assert found.tokens[number] == len(text)
        start = end
    assert found.bits_per_byte == pytest.approx(found.nats.sum() / math.log(2) / (9 * len(side.ends)))


def test_training_lowers_the_loss_and_is_the_same_twice(whole, config, tokens, tmp_path, quiet) -> None:
    first, second = whole, train(config, tokens, tmp_path / "again", quiet)
    assert outputs(first) == outputs(second)
    untrained = replace(config, training=replace(config.training, tokens=0))
    before = train(untrained, tokens, tmp_path / "untrained", quiet)
    losses = [json.loads((model.path / "training.json").read_text())["nats_per_token"] for model in (before, first)]
    assert losses[0] == pytest.approx(math.log(300), abs=0.3)
    assert losses[1] < losses[0] - 0.5
    other = train(replace(config, seed=1), tokens, tmp_path / "other", quiet)
    assert outputs(other) != outputs(first)


def test_an_untrained_model_is_the_one_that_training_starts_from(config, tokens, tmp_path, quiet) -> None:
    untrained = train(replace(config, training=replace(config.training, tokens=0)), tokens, tmp_path / "a", quiet)
    barely = replace(config, training=replace(config.training, tokens=1, learning_rate=1e-12, warmup=0))
    once = train(barely, tokens, tmp_path / "b", quiet)
    one, other = (load_causal_lm(model.path / "model").state_dict() for model in (untrained, once))
    assert all(torch.allclose(one[name], other[name], atol=1e-9) for name in one)


def test_weights_stored_in_16_bits_are_the_trained_ones_rounded_and_the_loss_is_theirs(
    whole: Artifact, config: TrainConfig, tokens: Artifact, tmp_path: Path, quiet: Progress
) -> None:
    half = train(replace(config, training=replace(config.training, weights="bfloat16")), tokens, tmp_path / "h", quiet)
    one, other = (load_causal_lm(model.path / "model") for model in (whole, half))
    for name, weight in one.state_dict().items():
        assert torch.equal(weight.bfloat16().float(), other.state_dict()[name])
    sizes = [(model.path / "model/model.safetensors").stat().st_size for model in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    said = json.loads((half.path / "training.json").read_text())["nats_per_token"]
    assert said == Validation(tokens).losses(other).nats_per_token


@pytest.mark.parametrize("harm", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", COMMIT])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(
    harm, whole, stopped, config, tokens, tmp_path, quiet
) -> None:
    shutil.copytree(stopped / "a.partial", tmp_path / "a.partial")
    checkpoints = tmp_path / "a.partial" / "checkpoints"
    newest = max(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert newest.name == "checkpoint-20"
    data = bytearray((newest / harm).read_bytes())
    data[len(data) // 2] ^= 1
    (newest / harm).write_bytes(data)
    assert outputs(train(config, tokens, tmp_path / "a", quiet)) == outputs(whole)


def test_a_checkpoint_without_a_commit_does_not_exist(tmp_path: Path, quiet: Progress) -> None:
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").write_bytes(b"weights")
    commit(tmp_path / "checkpoint-5", "run")
    assert newest_committed(tmp_path, "run", quiet) == tmp_path / "checkpoint-5"
    assert not (tmp_path / "checkpoint-10").exists()
    assert list(tmp_path.glob("damaged-checkpoint-10-*"))


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_training_before_the_weights_are_hurt(
    where, config, tokens, tmp_path, quiet, monkeypatch
) -> None:
    from cratelm.models.decoder import DecoderForCausalLM

    honest, calls, models = DecoderForCausalLM.lm_loss, [], []

    def poisoned(self, hidden_states, targets, num_items_in_batch=None):
        loss = honest(self, hidden_states, targets, num_items_in_batch)
        calls.append(1)
        models.append(self)
        if len(calls) < 12:
            return loss
        if where == "loss":
            return loss * float("nan")
        # A finite loss with a gradient that is not: the slope of the root at 0.
        return loss + (hidden_states[0, 0, 0] * 0).abs().sqrt()

    monkeypatch.setattr(DecoderForCausalLM, "lm_loss", poisoned)
    with pytest.raises(RunError, match=r"not finite at step 12.*checkpoint"):
        train(config, tokens, tmp_path / "a", quiet)
    assert all(torch.isfinite(parameter).all() for parameter in models[-1].parameters())
    assert not (tmp_path / "a").exists()


def test_the_loss_curve_has_every_step_once(config, tokens, tmp_path, quiet) -> None:
    model = train(config, tokens, tmp_path / "a", quiet)
    rows = [json.loads(line) for line in (model.path / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [10, 20, 30, 40]
    assert [row["step"] for row in rows if "validation_loss" in row] == [10, 20, 30, 40]
    assert all(row["tokens"] == row["step"] * 256 for row in rows)
    assert np.isfinite([row.get("loss", row.get("validation_loss")) for row in rows]).all()
