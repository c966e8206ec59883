"""Jobs in several processes: all are done, what they tell is shown, and what goes wrong comes back as it is."""

import os
import shutil
import subprocess
import sys
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cratelm.errors import InputError, RunError
from cratelm.progress import Progress
from cratelm.side_by_side import cores_for, run_side_by_side
from cratelm.study import run_study
from tests.jobs import die, fail, note, note_threads, refuse, wait_long
from tests.test_study import files_of


def test_every_job_is_done_once_in_other_processes_on_so_many_threads(tmp_path, quiet) -> None:
    names = [f"job-{number}" for number in range(5)]
    run_side_by_side([partial(note_threads, tmp_path, name) for name in names], 2, 1, quiet)
    said = [(tmp_path / name).read_text().split() for name in names]
    assert {threads for _, threads in said} == {"1"}
    workers = {process for process, _ in said}
    assert len(workers) <= 2 and str(os.getpid()) not in workers


def test_what_jobs_tell_is_shown_by_the_first_process(tmp_path) -> None:
    written = StringIO()
    jobs = [partial(note, tmp_path, "one"), partial(note, tmp_path, "two")]
    run_side_by_side(jobs, 2, 1, Progress(Console(file=written)))
    assert sorted(written.getvalue().splitlines()) == ["working on one", "working on two"]


SCRIPT = """
import pathlib, sys
from functools import partial
from cratelm.progress import Progress
from cratelm.side_by_side import run_side_by_side
from tests.jobs import note

folder = pathlib.Path(sys.argv[1])
with (folder / "script").open("a") as file:
    file.write("ran ")
with Progress() as progress:
    run_side_by_side([partial(note, folder, name) for name in "ab"], 2, 1, progress)
"""


@pytest.mark.processes
def test_a_script_that_asks_for_processes_is_not_run_again_in_them(tmp_path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "script").read_text() == "ran "
    assert (tmp_path / "a").is_file() and (tmp_path / "b").is_file()


def test_a_refusal_comes_back_and_the_other_jobs_are_stopped(tmp_path, quiet) -> None:
    with pytest.raises(InputError, match="this text is too short"):
        run_side_by_side([partial(wait_long, tmp_path), refuse], 2, 1, quiet)
    if (tmp_path / "waiting").is_file():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "waiting").read_text()), 0)


def test_a_killed_process_is_said_with_what_to_do(quiet) -> None:
    with pytest.raises(RunError, match=r"killed by signal 9.*Run the same command again"):
        run_side_by_side([die], 1, 1, quiet)


def test_a_bug_in_a_job_is_no_refusal(quiet, capfd) -> None:
    with pytest.raises(RuntimeError, match="traceback"):
        run_side_by_side([fail], 1, 1, quiet)
    assert "KeyError" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("cores", "asked", "jobs", "expected"),
    [(2, "", 4, (2, 1)), (8, "", 4, (4, 2)), (8, "8", 4, (1, 8)), (8, "2", 3, (3, 2)), (1, "", 4, (1, 1))],
)
def test_cores_are_shared_out_unless_the_user_says_how(monkeypatch, cores, asked, jobs, expected) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert cores_for(jobs) == expected


@pytest.mark.slow
def test_a_study_measured_in_several_processes_has_the_bytes_of_one(
    study: Path, small_study, tmp_path, quiet, monkeypatch
) -> None:
    monkeypatch.setattr(sys.modules["cratelm.study"], "ENOUGH_TEXT", 0)  # cratelm.study is the function
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    measured = shutil.ignore_patterns("records", "explanations", "scores", "effects", "report")
    shutil.copytree(study, tmp_path / "again", ignore=measured)
    run_study(small_study, tmp_path / "again", quiet)
    first, second = files_of(study), files_of(tmp_path / "again")
    assert [name for name in first | second if first.get(name) != second.get(name)] == []
