"""Training by several processes: weights shared out, a stop that all agree on, Slurm as the launcher."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.errors import InputError, RunError
from cratelm.training.sharding import RequireSharded, sharding_arguments
from cratelm.training.train import train
from tests.forking import run_on_two_ranks
from tests.training import training_runs
from tests.training.training_runs import CONFIG, longer

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}


def losses(model: Artifact) -> list[float]:
    rows = [json.loads(line) for line in (model.path / "losses.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def torchrun(script: str, *arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    worker = str(Path(__file__).with_name(script))
    return subprocess.Popen(
        [*command, worker, *map(str, arguments)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.processes
@pytest.mark.parametrize("model", ["crate", "gpt2+sliding_window=1"], ids=["all weights used", "queries unused"])
def test_two_processes_have_the_losses_of_one_over_50_steps(model, tokens, tmp_path, quiet) -> None:
    config = replace(CONFIG, model=model)
    alone = train(config, tokens, tmp_path / "alone", quiet)
    assert run_on_two_ranks(training_runs.run, tokens.path, tmp_path / "two", config) == [0, 0]
    both = train(config, tokens, tmp_path / "two", quiet)  # it is finished: nothing is trained
    one, two = losses(alone), losses(both)
    assert len(one) == 5
    assert two == pytest.approx(one, abs=1e-5)


@pytest.mark.processes
def test_two_processes_that_share_out_the_weights_stopped_once_train_like_one(tokens, tmp_path, quiet) -> None:
    one = train(CONFIG, tokens, tmp_path / "one", quiet)
    stopped = torchrun("sharded_worker.py", tokens.path, tmp_path / "two", 25)
    assert "stopped" in stopped.communicate(timeout=120)[1]
    assert stopped.returncode != 0
    assert (tmp_path / "two.partial" / "checkpoints" / "checkpoint-20" / "COMMITTED.json").is_file()
    process = torchrun("sharded_worker.py", tokens.path, tmp_path / "two")
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 0, error
    assert "going on from step 20" in error
    two = open_artifact(tmp_path / "two", "model")
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    mine, theirs = (load_file(model.path / "model" / "model.safetensors") for model in (two, one))
    assert mine.keys() == theirs.keys()  # the head is stored once
    for name, weights in theirs.items():
        torch.testing.assert_close(mine[name], weights, atol=1e-4, rtol=1e-3)
    assert (two.path / "snapshots" / "0.5" / "model.safetensors").is_file()


def test_a_model_that_was_not_shared_out_is_noticed() -> None:
    """accelerate leaves out FSDP on CPUs without a word."""
    from cratelm.models.build import build_model

    model = build_model("crate", CONFIG.shape, 300, 0, 0)
    with pytest.raises(RunError, match="FSDP made 0 groups of a model with 2 layers"):
        RequireSharded().on_train_begin(None, None, None, model=model)


def test_sharding_without_several_gpus_is_refused() -> None:
    with pytest.raises(InputError, match="over several GPUs"):
        sharding_arguments(replace(CONFIG.training, sharded=True))


@pytest.mark.processes
def test_two_processes_commit_the_same_step_when_terminated_and_one_goes_on(tokens, tmp_path, quiet) -> None:
    steps = 400
    process = torchrun("training_runs.py", tokens.path, tmp_path / "two", steps)
    metrics = tmp_path / "two.partial" / "log" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    found = list((tmp_path / "two.partial" / "checkpoints").glob("checkpoint-*/COMMITTED.json"))
    step = max(int(path.parent.name.removeprefix("checkpoint-")) for path in found)
    assert 10 <= step < steps
    alone = train(longer(CONFIG, steps), tokens, tmp_path / "alone", quiet)
    both = train(longer(CONFIG, steps), tokens, tmp_path / "two", quiet)
    assert losses(both)[:5] == pytest.approx(losses(alone)[:5], abs=1e-5)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-3)  # rounding grows with the steps


@pytest.mark.processes
def test_processes_that_srun_starts_find_each_other(tokens, tmp_path, quiet) -> None:
    """A stand-in for Slurm: what srun sets, and a scontrol that knows one host."""
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho localhost\n")
    (tmp_path / "scontrol").chmod(0o755)
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from cratelm.cli import main; main()", "train", "--preset", "smoke"]
    command += ["--tokens", str(tokens.path), "--shape.width", "16", "--shape.context", "64"]
    command += ["--training.tokens", str(40 * 8 * 64), "--training.precision", "fp32"]
    slurm = {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "node[1-2]",
        "MASTER_PORT": str(port),
    }
    slurm |= {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    started = [
        subprocess.Popen(
            [*command, "--out", str(tmp_path / "two")],
            env=ENVIRONMENT | slurm | {"SLURM_PROCID": str(place), "SLURM_LOCALID": str(place)},
        )
        for place in range(2)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert run([*command[3:], "--out", str(tmp_path / "one")]) == 0
    one, two = (open_artifact(tmp_path / name, "model") for name in ("one", "two"))
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
