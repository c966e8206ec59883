"""Training as a command: by several processes, ended by a signal, planned, logged, kept along the way."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.models.build import build_model
from cratelm.models.flops import activation_bytes, forward_flops, meta_model
from cratelm.models.load import load_causal_lm
from cratelm.presets import train_preset
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train
from tests.training.training_runs import CONFIG


def losses(model: Artifact, name: str = "losses.jsonl") -> dict[int, float]:
    rows = [json.loads(line) for line in (model.path / name).read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def test_accumulated_gradients_are_those_of_the_whole_batch(tokens, tmp_path, quiet) -> None:
    parts = train(CONFIG, tokens, tmp_path / "parts", quiet)
    whole = train(replace(CONFIG, training=replace(CONFIG.training, at_once=None)), tokens, tmp_path / "whole", quiet)
    assert list(losses(parts).values()) == pytest.approx(list(losses(whole).values()), abs=1e-5)


def command(tokens: Artifact, out: Path, steps: int = 400) -> list[str]:
    shape = ["--shape.width", "16", "--shape.heads", "2", "--shape.context", "64"]
    recipe = ["--training.tokens", str(steps * 4 * 64), "--training.batch", "4", "--training.evaluation-documents", "2"]
    return ["train", "--preset", "smoke", "--tokens", str(tokens.path), "--out", str(out), *shape, *recipe]


@pytest.mark.processes
def test_a_terminated_training_commits_its_step_and_ends_with_the_same_bytes_later(tokens, tmp_path) -> None:
    main = [sys.executable, "-c", "from cratelm.cli import main; main()"]
    process = subprocess.Popen([*main, *command(tokens, tmp_path / "a")], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "a.partial" / "log" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(2):  # as an impatient cluster does
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert "To go on:" in process.stderr.read()
    (commit,) = (tmp_path / "a.partial" / "checkpoints").glob("checkpoint-*/COMMITTED.json")
    step = int(commit.parent.name.removeprefix("checkpoint-"))
    assert 10 <= step < 400
    assert run(command(tokens, tmp_path / "a")) == run(command(tokens, tmp_path / "whole")) == 0
    stopped, whole = (open_artifact(tmp_path / name, "model") for name in ("a", "whole"))
    assert stopped.manifest["outputs"] == whole.manifest["outputs"]


def test_a_checkpoint_is_written_when_its_minutes_are_over(tokens, tmp_path, quiet, monkeypatch) -> None:
    saved = []

    def note(self, args, state, control, **kwargs) -> None:
        saved.append(state.global_step)

    monkeypatch.setattr("cratelm.training.callbacks.CommitInTime.on_save", note)  # so that it stays due
    recipe = replace(CONFIG.training, tokens=12 * 4 * 64, checkpoint_minutes=1e-9)
    train(replace(CONFIG, training=recipe), tokens, tmp_path / "a", quiet)
    assert saved == list(range(1, 13))


@pytest.mark.processes
@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_a_tracker_is_sent_the_losses_and_no_network_is_needed(tracker: str, tokens, tmp_path) -> None:
    asked = [*command(tokens, tmp_path / "a", 20), "--training.track", tracker]
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "WANDB_MODE": "offline"}
    main = [sys.executable, "-c", "from cratelm.cli import main; main()"]
    subprocess.run([*main, *asked], env=environment, check=True, capture_output=True, timeout=120)
    if tracker == "wandb":
        (run_file,) = (tmp_path / "a" / "log" / "wandb").glob("offline-run-*/*.wandb")
        assert run_file.stat().st_size > 1000
        return
    with sqlite3.connect(tmp_path / "trackio" / "cratelm.db") as database:
        sent = [json.loads(row) for (row,) in database.execute("select metrics from metrics where run_name = 'a'")]
    found = [row["train/loss"] for row in sent if "train/loss" in row]
    assert found == pytest.approx(list(losses(open_artifact(tmp_path / "a", "model")).values()))


GOLDEN = {
    "crate": [5.5856, 5.1626, 4.8058, 4.6032, 4.5107],
    "gpt2": [5.587, 5.1996, 4.8562, 4.6565, 4.5607],
}


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_the_loss_curve_is_the_one_that_was_written_down(name: str, tokens, tmp_path, quiet) -> None:
    """A refactoring that changes it has changed the mathematics, the order of the data or the draws."""
    model = train(replace(CONFIG, model=name), tokens, tmp_path / "a", quiet)
    assert list(losses(model).values()) == pytest.approx(GOLDEN[name], abs=2e-3)


def test_the_log_has_every_step_once_after_a_stop(tokens, tmp_path, quiet, monkeypatch) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, evaluations=5))
    stopped = []

    class Stop(Exception):
        pass

    def stop_at_the_fourth(*arguments):
        stopped.append(1)
        if len(stopped) == 4:
            raise Stop
        return honest(*arguments)

    from cratelm.training import heldout_loss

    honest = heldout_loss.document_losses
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(heldout_loss, "document_losses", stop_at_the_fourth)
        train(config, tokens, tmp_path / "a", quiet)
    model = train(config, tokens, tmp_path / "a", quiet)
    rows = [json.loads(line) for line in (model.path / "log" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50]
    assert {row["step"]: row["loss"] for row in rows} == losses(model)
    assert all(row["flops_per_second"] > row["flops_per_second_by_6N"] * 0.5 > 0 for row in rows)


def test_snapshots_are_the_model_on_its_way_and_a_whole_transformers_folder(tokens, tmp_path, quiet) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, snapshots="0.2,0.201,0.9999"))
    model = train(config, tokens, tmp_path / "a", quiet)
    names = ("0.2", "0.201", "0.9999")
    early, same, late = (load_causal_lm(model.path / "snapshots" / name).state_dict() for name in names)
    assert all(torch.equal(early[name], same[name]) for name in early)  # both shares are of step 10 of 50
    final = load_causal_lm(model.path / "model").state_dict()
    assert all(torch.equal(late[name], final[name]) for name in final)  # the last step is the whole training
    assert any(not torch.equal(early[name], final[name]) for name in final)
    assert "snapshots/0.2/model.safetensors" in model.manifest["outputs"]


def test_the_command_says_in_words_whether_training_was_compiled(tokens, tmp_path, capsys) -> None:
    assert run([*command(tokens, tmp_path / "a", steps=0), "--training.compile", "no"]) == 0
    assert "compiled: no" in capsys.readouterr().out.splitlines()


def test_a_run_that_died_before_its_commit_is_not_trained_again(tokens, tmp_path, quiet, monkeypatch) -> None:
    def die(*arguments) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cratelm.stages.Claim.commit", die)
        train(CONFIG, tokens, tmp_path / "a", quiet)
    with monkeypatch.context() as patch:
        patch.setattr("cratelm.training.train.fit", die)
        assert train(CONFIG, tokens, tmp_path / "a", quiet).path == tmp_path / "a"


@pytest.mark.parametrize(("name", "products"), [("crate", 2 + 16), ("gpt2", 4 + 8)])
def test_operations_are_counted_for_each_use_of_a_weight(name: str, products: int) -> None:
    width, context, vocabulary, layers = 32, 64, 500, 3
    model = meta_model(name, ShapeConfig(layers=layers, width=width, heads=2, context=context), vocabulary)
    attention = 2 * context * width
    expected = 2 * (layers * (products * width**2 + attention) + vocabulary * width)
    assert forward_flops(model, context) == expected


def test_activations_are_counted_as_autograd_keeps_them() -> None:
    shape = ShapeConfig(layers=2, width=32, heads=2, context=64)
    kept, seen = 0, set()

    def pack(tensor):
        nonlocal kept
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            kept += storage.nbytes()
        return tensor

    model = build_model("crate", shape, 500, 0, 0).train()
    model.set_attn_implementation("eager")
    seen |= {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    ids = torch.zeros(4, 64, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    assert torch.isfinite(loss)
    assert activation_bytes(meta_model("crate", shape, 500), 4, 64) == pytest.approx(kept, rel=0.02)


@pytest.mark.parametrize("size", ["1l", "2l", "3l", "6l", "12l"])
def test_the_papers_presets_are_its_recipe(size: str) -> None:
    config = train_preset(f"paper-{size}")
    assert config.steps == 300_000
    assert config.batch_tokens == 524_288
    assert round(config.training.warmup * config.steps) == 2_000
    assert config.training.learning_rate == 6e-4
    assert config.training.accumulation(8) == 4


def test_a_plan_says_what_training_takes_and_trains_nothing(tokens, tmp_path, capsys) -> None:
    asked = ["train", "--tokens", str(tokens.path), "--preset", "paper-12l", "--plan", "--json"]
    assert run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 300_000
    assert found["training_flops"] > found["training_flops_by_6N"]
    assert found["checkpoint_bytes"] == 12 * found["parameters"]
    assert found["hours"]["A100"] > found["hours"]["H100"] > found["hours"]["8 x H100"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "paper-2"], "Did you mean paper-2l"),
        (["--training.batch", "6", "--training.at-once", "4"], "cannot be dealt out"),
        (["--training.snapshots", "0.1,1"], "at a share between 0 and 1"),
        (["--training.snapshots", "half"], "not numbers with commas"),
        (["--training.precision", "fp16"], "needs a GPU"),
        (["--training.track", "tensorboard"], "pip install tensorboard"),
        (["--training.checkpoint-minutes", "0"], "must be above 0"),
        (["--training.sharded"], "over several GPUs"),
        (["--model", "crat"], "unknown model"),
    ],
)
def test_bad_input_is_answered_by_one_line_and_status_2(tokens, tmp_path, arguments, message, capsys) -> None:
    base = ["train", "--tokens", str(tokens.path), "--out", str(tmp_path / "a")]
    assert run([*base, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_changed_recipe_does_not_go_on_with_an_old_run_and_is_shown(tokens, tmp_path, quiet) -> None:
    train(CONFIG, tokens, tmp_path / "a", quiet)
    changed = replace(CONFIG, training=replace(CONFIG.training, learning_rate=1e-3))
    with pytest.raises(InputError, match=r"learning_rate: 0.002 there, 0.001 asked for"):
        train(changed, tokens, tmp_path / "a", quiet)


def test_processes_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be dealt out to 3 processes"):
        TrainingConfig(batch=8).rows_at_once(3)
    assert TrainingConfig(batch=8).rows_at_once(4) == 2
    assert TrainConfig().training.accumulation(1) == 1


@pytest.mark.slow
def test_a_compiled_run_that_was_stopped_ends_with_the_same_bytes(tokens, tmp_path, quiet, monkeypatch) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, at_once=None, compile="yes", precision="auto"))
    whole = train(config, tokens, tmp_path / "whole", quiet)

    class Stop(Exception):
        pass

    def stop(self, args, state, control, **kwargs) -> None:
        if state.global_step == 27:
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr("cratelm.training.callbacks.Snapshots.on_step_end", stop)
        train(config, tokens, tmp_path / "a", quiet)
    assert list((tmp_path / "a.partial" / "checkpoints").glob("checkpoint-20"))
    assert train(config, tokens, tmp_path / "a", quiet).manifest["outputs"] == whole.manifest["outputs"]


def test_the_loss_curve_is_the_same_in_every_file(tokens, tmp_path, quiet) -> None:
    model = train(CONFIG, tokens, tmp_path / "a", quiet)
    with (model.path / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["step"]): float(row["loss"]) for row in rows if row["loss"]} == losses(model)
    assert (model.path / "losses.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_a_loss_in_chunks_has_the_gradients_of_the_whole(name: str) -> None:
    model = build_model(name, ShapeConfig(width=16, heads=2, context=32), 500, 0, 0).train()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(500, (3, 32), generator=generator)
    labels = torch.where(torch.rand(3, 32, generator=generator) < 0.2, -100, ids)

    def step(chunk: int | None) -> list[torch.Tensor]:
        model.zero_grad()
        model.loss_chunk = chunk
        loss = model(input_ids=ids, labels=labels, num_items_in_batch=77).loss
        loss.backward()
        return [loss.detach(), *(parameter.grad.clone() for parameter in model.parameters())]

    for whole, parts in zip(step(None), step(10), strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)
