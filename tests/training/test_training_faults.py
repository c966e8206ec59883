"""What may go wrong round a training: kills at any moment of a save, a full disk, foreign and hostile files."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cratelm.artifacts import Artifact, as_plain, open_artifact, write_json
from cratelm.errors import InputError, RunError
from cratelm.stages import IDENTITY
from cratelm.training.checkpoints import COMMIT, commit, name_of_run, newest_committed
from cratelm.training.train import train
from tests import dying
from tests.forking import forking
from tests.shared import Shared
from tests.training.training_runs import CONFIG

ROOT = os.geteuid() == 0
FILES = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "mean_loss.json"]


@pytest.fixture(scope="module")
def whole(tokens: Artifact, shared: Shared, quiet) -> Artifact:
    """The training that nothing happened to."""
    folder = shared.folder("whole-training", lambda out: train(CONFIG, tokens, out / "model", quiet))
    return open_artifact(folder / "model", "model")


class Stop(Exception):
    """Stands for the end of the process."""


def stop_at(step: int, tokens: Artifact, out: Path, quiet) -> Path:
    """A run that ended at a step; gives its unfinished folder."""

    def stop(self, args, state, control, **kwargs) -> None:
        if state.global_step == step:
            raise Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr("cratelm.training.callbacks.Snapshots.on_step_end", stop)
        train(CONFIG, tokens, out, quiet)
    return out.with_name(out.name + ".partial")


@pytest.fixture
def stopped(tokens: Artifact, shared: Shared, tmp_path: Path, quiet) -> Path:
    """The checkpoints of a run `a` that ended at step 25."""
    folder = shared.folder("stopped-training", lambda out: stop_at(25, tokens, out / "a", quiet))
    return shutil.copytree(folder / "a.partial", tmp_path / "a.partial") / "checkpoints"


@pytest.mark.processes
@pytest.mark.parametrize("file", [*FILES, f"{COMMIT}.new", COMMIT])
def test_a_run_killed_while_it_writes_a_checkpoints_file_ends_with_the_same_bytes(
    file, whole, tokens, tmp_path, quiet
) -> None:
    out = tmp_path / "model"
    where = f"checkpoints/checkpoint-20/{file}"
    process = forking().Process(target=dying.train_and_die, args=(tokens.path, out, where, file != COMMIT))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "model.partial" / "checkpoints" / "checkpoint-10" / COMMIT).is_file()
    assert train(CONFIG, tokens, out, quiet).manifest["outputs"] == whole.manifest["outputs"]


@pytest.mark.parametrize("line", ['{"step": 10, "lo', "[]", "\0\0\0\0"])
def test_a_line_of_metrics_that_was_cut_off_holds_no_run_up(line, whole, stopped, tokens, tmp_path, quiet) -> None:
    metrics = stopped.parent / "log" / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + line)
    again = train(CONFIG, tokens, tmp_path / "a", quiet)
    assert again.manifest["outputs"] == whole.manifest["outputs"]
    rows = [json.loads(one)["step"] for one in (again.path / "log" / "metrics.jsonl").read_text().splitlines()]
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("file", [*FILES, COMMIT])
def test_a_checkpoint_without_one_of_its_files_is_named_and_not_used(file, tmp_path, quiet, capsys) -> None:
    run = "0" * 64
    for step in (10, 20):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in FILES:
            (folder / name).write_bytes(b"content")
        commit(folder, run)
    (tmp_path / "checkpoint-20" / file).unlink()
    said = []
    quiet = type("Said", (), {"say": lambda self, message: said.append(message)})()
    assert newest_committed(tmp_path, run, quiet) == tmp_path / "checkpoint-10"
    assert file in said[0] or "was never finished" in said[0]


def test_a_checkpoint_of_another_run_is_not_used(whole, stopped, tokens, tmp_path, quiet) -> None:
    other = stopped / "checkpoint-20"
    listed = json.loads((other / COMMIT).read_text())
    (other / COMMIT).write_text(json.dumps(listed | {"run": "0" * 64}))
    assert train(CONFIG, tokens, tmp_path / "a", quiet).manifest["outputs"] == whole.manifest["outputs"]


def test_the_name_of_a_run_follows_its_settings_and_data(tokens, tmp_path, quiet) -> None:
    one = name_of_run(stop_at(1, tokens, tmp_path / "a", quiet))
    other = stop_at(1, tokens, tmp_path / "b", quiet)
    assert name_of_run(other) == one
    identity = json.loads((other / IDENTITY).read_text())
    (other / IDENTITY).write_text(json.dumps(identity | {"inputs": {"tokens": "0"}}))
    assert name_of_run(other) != one


class Hostile:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
def test_a_pickle_in_a_checkpoint_runs_nothing(file, stopped, tokens, tmp_path, quiet) -> None:
    newest, canary = stopped / "checkpoint-20", tmp_path / "canary"
    torch.save({"state": Hostile(canary)}, newest / file)
    commit(newest, name_of_run(stopped.parent))  # whoever put it there has signed it as well
    if file == "training_args.bin":  # which nothing reads
        train(CONFIG, tokens, tmp_path / "a", quiet)
    else:
        with pytest.raises(RunError, match=r"more than tensors \(it could run code\), and was not loaded"):
            train(CONFIG, tokens, tmp_path / "a", quiet)
    assert not canary.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes free."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - free)


@pytest.mark.skipif(not ROOT, reason="mounting a small disk takes root")
@pytest.mark.parametrize("free", [0, 1 << 16, 3 << 15, 1 << 18])
def test_a_disk_that_is_full_at_a_save_is_named_and_the_run_goes_on_later(
    free, small_disk, whole, tokens, quiet, monkeypatch
) -> None:
    def full(self, args, state, control, **kwargs) -> None:
        if state.global_step == 15:
            fill(small_disk, free)

    with monkeypatch.context() as patch, pytest.raises(RunError, match="No space left on device"):
        patch.setattr("cratelm.training.callbacks.Snapshots.on_step_end", full)
        train(CONFIG, tokens, small_disk / "model", quiet)
    (small_disk / "ballast").unlink()
    assert train(CONFIG, tokens, small_disk / "model", quiet).manifest["outputs"] == whole.manifest["outputs"]


@pytest.mark.skipif(not ROOT, reason="mounting a disk read-only takes root")
def test_a_folder_that_cannot_be_written_is_refused(small_disk, tokens, quiet) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(InputError, match=r"cannot write to .*Read-only file system"):
        train(CONFIG, tokens, small_disk / "model", quiet)


@pytest.mark.processes
@pytest.mark.skipif(not ROOT, reason="taking /dev/shm away takes root")
def test_training_needs_no_shared_memory_no_compiler_and_no_second_thread(tokens, tmp_path) -> None:
    command = [sys.executable, "-c", "from cratelm.cli import main; main()", "train", "--preset", "smoke"]
    command += ["--tokens", str(tokens.path), "--out", str(tmp_path / "a"), "--training.compile", "auto"]
    command += ["--shape.width", "16", "--shape.context", "64", "--training.tokens", "5000"]
    hide = 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"'
    tools = tmp_path / "tools"
    tools.mkdir()
    environment = {"PATH": str(tools), "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    for name in ("mount", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    result = subprocess.run(
        [shutil.which("unshare"), "--mount", "sh", "-c", hide, "sh", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "Training runs uncompiled, which is slower: torch.compile needs a C++ compiler" in result.stderr
    assert (tmp_path / "a" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"track": "tensorboard"}, "pip install tensorboard"),
        ({"track": "wandb"}, "needs a login"),
        ({"sharded": True}, "over several GPUs"),
        ({"at_once": 3}, "cannot be dealt out"),
    ],
)
def test_what_the_surroundings_lack_removes_no_checkpoint(
    change, message, whole, tokens, tmp_path, quiet, monkeypatch
) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, **change))
    checkpoint = tmp_path / "a.partial" / "checkpoints" / "checkpoint-10" / "model.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"hours of work")
    write_json(tmp_path / "a.partial" / IDENTITY, identity_of(config, tokens))
    monkeypatch.setattr("cratelm.training.tracking.find_spec", lambda name: None if name == "tensorboard" else name)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    with pytest.raises(InputError, match=message):
        train(config, tokens, tmp_path / "a", quiet)
    assert checkpoint.read_bytes() == b"hours of work"


def identity_of(config, tokens: Artifact) -> dict:
    """What a run of this training calls itself."""
    return {"schema": 1, "stage": "model", "config": as_plain(config), "inputs": {"tokens": tokens.sha256}}


def test_an_error_in_the_input_hours_after_the_start_removes_no_checkpoint(
    whole, tokens, tmp_path, quiet, monkeypatch
) -> None:
    def refuse(self, args, state, control, **kwargs) -> None:
        if state.global_step == 25:
            raise InputError("the text is damaged")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="the text is damaged"):
        patch.setattr("cratelm.training.callbacks.Snapshots.on_step_end", refuse)
        train(CONFIG, tokens, tmp_path / "a", quiet)
    assert (tmp_path / "a.partial" / "checkpoints" / "checkpoint-20" / COMMIT).is_file()
    assert train(CONFIG, tokens, tmp_path / "a", quiet).manifest["outputs"] == whole.manifest["outputs"]
