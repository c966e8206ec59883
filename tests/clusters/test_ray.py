"""A real Ray cluster makes the bytes of this machine, loses nothing, and is answered for in one line."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError, RunError
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import require_engine, run_shards
from tests.clusters.cells import require_same_cells
from tests.clusters.commands import require_same_bytes, train
from tests.noted import Noted, Struck, fill, kill, made, rest
from tests.test_shards import folder_of_shards, outputs
from tests.waiting import PYTHONPATH, begun, launch

pytestmark = pytest.mark.cluster
ray = pytest.importorskip("ray", reason="no Ray here: pip install 'cratelm[ray]'")
TWO = EngineConfig(engine="ray", workers=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A head with two processors, found by RAY_ADDRESS."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += ["--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", "--node-ip-address=127.0.0.1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PYTHONPATH)
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        head = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert head.stdout is not None
        assert any("Ray runtime started" in line for line in head.stdout)
        yield
        ray.shutdown()
        head.terminate()
        head.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where work notes what it made."""
    folder = tmp_path / "made"
    folder.mkdir()
    return folder


def test_no_cluster_is_one_line_before_anything_is_written(tmp_path) -> None:
    code = "from cratelm.cli import main; main()"
    command = [sys.executable, "-c", code, "tokenize", "--out", str(tmp_path / "never"), "--engine", "ray"]
    wrong = subprocess.run(command, env=os.environ | {"RAY_TMPDIR": str(tmp_path)}, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert (
        len(wrong.stderr.splitlines()) == 1 and "Start one by `ray start --head`, or set RAY_ADDRESS." in wrong.stderr
    )
    assert not (tmp_path / "never.partial").exists()


@pytest.mark.usefixtures("cluster")
def test_all_shards_are_made_once(folder, tmp_path) -> None:
    run_shards(Noted(folder), range(7), TWO, tmp_path / "log", print)
    assert made(folder) == {str(shard) for shard in range(7)}


@pytest.mark.usefixtures("cluster")
def test_tokens_are_those_of_this_machine(tmp_path, quiet, monkeypatch) -> None:
    config: CorpusConfig = folder_of_shards(tmp_path / "corpus", monkeypatch)
    here = tokenize(config, tmp_path / "here", quiet)
    assert outputs(tokenize(config, tmp_path / "there", quiet, TWO)) == outputs(here)


@pytest.mark.usefixtures("cluster")
def test_a_full_disk_is_told_in_one_line_and_the_shard_made_again(folder, tmp_path) -> None:
    work = Struck(folder, 2, fill)
    with pytest.raises(OSError, match="No space left on device"):
        run_shards(work, range(4), EngineConfig(engine="ray"), tmp_path / "log", print)
    run_shards(work, range(4), TWO, tmp_path / "log", print)
    assert made(folder) == {"0", "1", "2", "3"}


@pytest.mark.usefixtures("cluster")
def test_ray_makes_the_shard_of_a_killed_worker_again(folder, tmp_path) -> None:
    run_shards(Struck(folder, 2, kill), range(4), TWO, tmp_path / "log", print)
    assert made(folder) == {"0", "1", "2", "3"}


@pytest.mark.usefixtures("cluster")
def test_a_shard_that_kills_its_worker_every_time_is_told_in_one_line(folder, tmp_path) -> None:
    with pytest.raises(RunError, match=r"Ray could not make shard 0 \(.*2 of 2 shards are not made yet") as failed:
        run_shards(Struck(folder, 0, kill, always=True), range(2), EngineConfig(engine="ray"), tmp_path / "log", print)
    assert len(str(failed.value).splitlines()) == 1


@pytest.mark.usefixtures("cluster")
def test_workers_end_with_a_command_that_is_killed_and_the_same_command_goes_on(folder, tmp_path) -> None:
    launcher = launch("ray", folder, tmp_path / "log")
    begun(folder)
    launcher.kill()
    launcher.wait()
    run_shards(Struck(folder, 0, rest), range(2), TWO, tmp_path / "log", print)
    assert made(folder) == {"0", "1"}


@pytest.mark.usefixtures("cluster")
def test_more_processors_than_any_node_has_are_refused() -> None:
    with pytest.raises(InputError, match=r"computes on 64 threads.*more than 2 processors\. Set OMP_NUM_THREADS=2"):
        require_engine(TWO, 64)


@pytest.mark.usefixtures("cluster")
def test_tokenize_record_and_score_make_the_bytes_of_one_worker(tmp_path) -> None:
    train(tmp_path, "one")
    said = require_same_bytes(tmp_path, tmp_path, "--engine", "ray", "--workers", "2")
    assert "Traceback" not in said


@pytest.mark.usefixtures("cluster")
def test_cells_of_the_reproduction_are_those_of_this_machine(small_study, tmp_path, quiet) -> None:
    require_same_cells(small_study, tmp_path, quiet, TWO)
