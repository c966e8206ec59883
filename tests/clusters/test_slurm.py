"""A real Slurm cluster makes the bytes of this machine, loses nothing, and is answered for in one line."""

import os
import signal
from pathlib import Path

import pytest

from cratelm.artifacts import open_artifact
from cratelm.errors import InputError, RunError
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import require_engine, run_shards
from cratelm.training.processes import _first_host
from tests.clusters.cells import require_same_cells
from tests.clusters.commands import CORPUS, cratelm, require_same_bytes, train
from tests.clusters.slurm_cluster import SlurmCluster
from tests.noted import Noted, Struck, fill, kill, made, pause, rest
from tests.training.test_training_processes import losses
from tests.waiting import begun, is_running, launch, meanwhile, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]
TWO = EngineConfig(engine="slurm", workers=2)
ON_SLURM = ["--engine", "slurm", "--workers", "2"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where work notes what it made."""
    folder = tmp_path / "made"
    folder.mkdir()
    return folder


def jobs(slurm: SlurmCluster) -> list[str]:
    """The jobs that are under way."""
    return slurm.say("squeue", "--noheader", "--format=%A").split()


def test_states_and_logs_are_told_and_more_shards_than_an_array_holds_are_all_made(folder, tmp_path) -> None:
    told: list[str] = []
    run_shards(Noted(folder), range(7), TWO, tmp_path / "log", told.append)
    assert made(folder) == {str(shard) for shard in range(7)}
    arrays = [line for line in told if "shards" in line]
    assert [line.partition(": ")[2].partition(",")[0] for line in arrays] == ["5 shards", "2 shards"]  # MaxArraySize=5
    logs = Path(arrays[0].rpartition(": ")[2].rstrip("."))
    assert len(list(logs.glob("*_*.out"))) == 7
    assert any("running" in line or "pending" in line for line in told)


@pytest.mark.parametrize(
    ("befalls", "error", "message"),
    [
        (kill, RunError, r"Slurm ended shard 2 \(FAILED\); its log is .*2\.out\. 1 of 4 shards .* same command again"),
        (fill, OSError, "No space left on device"),
    ],
)
def test_a_task_that_fails_is_told_in_one_line_and_made_again_alone(befalls, error, message, folder, tmp_path) -> None:
    work = Struck(folder, 2, befalls)
    with pytest.raises(error, match=message) as failed:
        run_shards(work, range(4), TWO, tmp_path / "log", print)
    assert len(str(failed.value).splitlines()) == 1
    assert made(folder) == {"0", "1", "3"}
    run_shards(work, range(4), TWO, tmp_path / "log", print)
    assert made(folder) == {"0", "1", "2", "3"}


def test_a_job_that_somebody_cancels_is_told_by_its_state(slurm, folder, tmp_path) -> None:
    with (
        meanwhile(lambda: begun(folder) and slurm.say("scancel", *jobs(slurm))),
        pytest.raises(RunError, match=r"Slurm ended shard 0 \(CANCELLED\)"),
    ):
        run_shards(Struck(folder, 0, rest), range(2), TWO, tmp_path / "log", print)
    run_shards(Struck(folder, 0, rest), range(2), TWO, tmp_path / "log", print)
    assert made(folder) == {"0", "1"}


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (EngineConfig(engine="slurm", partition="nowhere"), "Invalid partition name specified"),
        (EngineConfig(engine="slurm", time="soon"), "Invalid --time specification"),
    ],
)
def test_what_slurm_refuses_is_refused_before_anything_is_written(engine, message) -> None:
    with pytest.raises(InputError, match=f"Slurm refuses the job: {message}. `sinfo` lists"):
        require_engine(engine)


def test_more_processors_than_any_node_has_are_refused() -> None:
    with pytest.raises(InputError, match=r"Requested node configuration is not available\."):
        require_engine(TWO, 64)


@pytest.mark.parametrize("time", ["24:00:00", "0", "99999999999999999"])
def test_a_time_limit_beyond_the_partitions_is_one_line_and_exit_status_2_and_the_job_is_cancelled(
    slurm, time, tmp_path
) -> None:
    wrong = cratelm("tokenize", *CORPUS, "--out", tmp_path / "a", *ON_SLURM, "--time", time)
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1] == (
        "cratelm: Slurm would never start the job (PartitionTimeLimit), so it is cancelled. "
        "Give another --partition or --time; `sinfo` lists what the cluster has."
    )
    assert wrong.stderr.count("cratelm: ") == 1 and "Traceback" not in wrong.stderr
    wait_until(lambda: not jobs(slurm))


@pytest.mark.slow
def test_a_shard_that_reaches_its_time_limit_is_told_so(folder, tmp_path) -> None:
    engine = EngineConfig(engine="slurm", time="1")
    with pytest.raises(RunError, match=r"Slurm ended shard 0 \(TIMEOUT\)"):
        run_shards(Struck(folder, 0, rest), range(1), engine, tmp_path / "log", print)


def test_jobs_of_a_command_that_was_killed_are_waited_for_and_not_handed_in_twice(slurm, folder, tmp_path) -> None:
    log, told = tmp_path / "log", []
    launcher = launch("slurm", folder, log)
    task = begun(folder)
    launcher.kill()
    launcher.wait()
    (job, *_) = jobs(slurm)

    def end() -> None:
        wait_until(lambda: any("running" in line for line in told))
        os.kill(task, signal.SIGKILL)

    with meanwhile(end):
        run_shards(Struck(folder, 0, rest), range(2), TWO, log, told.append)
    assert told[0] == f"Slurm job {job} of an earlier command is still under way."
    assert made(folder) == {"0", "1"}


def test_ctrl_c_cancels_the_jobs(slurm, folder, tmp_path) -> None:
    launcher = launch("slurm", folder, tmp_path / "log")
    task = begun(folder)
    launcher.send_signal(signal.SIGINT)
    launcher.wait()
    wait_until(lambda: not jobs(slurm) and not is_running(task))


def test_shards_of_a_node_that_is_lost_are_made_on_another_one(slurm, folder, tmp_path) -> None:
    told: list[str] = []

    def lose() -> None:
        task = begun(folder)
        node = slurm.say("squeue", "--noheader", "--states=RUNNING", "--array", "--format=%N").split()[0]
        slurm.kill(node)
        kill_with_its_parent(task)
        wait_until(lambda: made(folder) == {"0", "1", "2"}, 200)
        slurm.start_node(node)

    with meanwhile(lose):
        run_shards(Struck(folder, 0, rest), range(3), EngineConfig(engine="slurm"), tmp_path / "log", told.append)
    slurm.wait_for_nodes()
    assert made(folder) == {"0", "1", "2"}


def test_a_controller_that_is_restarted_is_waited_for(slurm, folder, tmp_path) -> None:
    told: list[str] = []

    def restart() -> None:
        begun(folder)
        slurm.end("slurmctld")
        wait_until(lambda: any("Still asking" in line for line in told))
        slurm.start_controller()

    with meanwhile(restart):
        run_shards(Struck(folder, 0, pause), range(3), EngineConfig(engine="slurm"), tmp_path / "log", told.append)
    assert made(folder) == {"0", "1", "2"}


def kill_with_its_parent(process: int) -> None:
    """A task and the slurmstepd that watches it."""
    parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    for one in (parent, process):
        os.kill(one, signal.SIGKILL)


@pytest.fixture(scope="module")
def model(slurm, tmp_path_factory) -> Path:
    """A folder with tokens, a model that two processes of srun have trained, and one that one process has."""
    folder = tmp_path_factory.mktemp("model")
    train(folder, "two", before=("srun", "--ntasks=2", "--nodes=2"))
    train(folder, "one")
    return folder


def test_two_processes_that_srun_starts_on_two_nodes_train_like_one(model) -> None:
    one, two = (losses(open_artifact(model / name, "model")) for name in ("one", "two"))
    assert len(one) == 4
    assert two == pytest.approx(one, abs=1e-5)


def test_the_first_of_slurms_nodes_is_known() -> None:
    assert _first_host("node[1-2]") == "node1"


def test_tokenize_record_and_score_make_the_bytes_of_one_worker(model, tmp_path) -> None:
    said = require_same_bytes(model, tmp_path, *ON_SLURM)
    assert "Slurm job" in said and "Traceback" not in said


def test_a_wrong_partition_is_one_line_and_exit_status_2(tmp_path) -> None:
    wrong = cratelm("tokenize", "--out", tmp_path / "a", *ON_SLURM, "--partition", "nowhere")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines() == [
        "cratelm: Slurm refuses the job: Invalid partition name specified. `sinfo` lists what the cluster has."
    ]
    assert not list(tmp_path.iterdir())


def test_cells_of_the_reproduction_are_those_of_this_machine(small_study, tmp_path, quiet) -> None:
    require_same_cells(small_study, tmp_path, quiet, TWO)
