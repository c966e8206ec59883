"""`make` gets torch from the first place that has it, and says why each place before did not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("make") is None, reason="the CPU build of torch is chosen on Linux, by make"
)
PYTHON = """#!/bin/sh
# Stands in for python: `-m venv` puts it into the environment, `-m pip` is noted, and fails where it is told to.
if [ "$2" = venv ]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; exit; fi
echo "$*" >> calls
if echo "$*" | grep -qE -- "$FAILING"; then echo "reason of call $(wc -l < calls)" >&2; exit 1; fi
"""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def install(
    folder: Path, failing: str = "nothing", *settings: str, target: str = ".venv/installed"
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """What `make` did to install `target`, and the calls of pip, where calls that match `failing` fail."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    command = ["make", target, "PYTHON=./python", *settings]
    environment = os.environ | {"FAILING": failing, "MAKEFLAGS": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return done, (folder / "calls").read_text().splitlines()


def torch_calls(calls: list[str]) -> list[str]:
    """What the calls that install torch asked for, with the index if they name one."""
    of_torch = [call for call in calls if "torch==" in call]
    return [f"{CPU_INDEX} {call.split()[-1]}" if CPU_INDEX in call else call.split()[-1] for call in of_torch]


VERSION = next(
    line.removeprefix("torch==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "torch==" in line
)


def test_the_cpu_build_of_the_configured_index_is_tried_first(tmp_path: Path) -> None:
    done, calls = install(tmp_path)
    assert done.returncode == 0
    assert torch_calls(calls) == [f"torch=={VERSION}+cpu"]
    assert calls[-1].endswith("-c constraints.txt -e .[dev]")
    assert "several GB" not in done.stderr


def test_a_study_installs_neither_tests_nor_autoencoders(tmp_path: Path) -> None:
    done, calls = install(tmp_path, target=".venv/study")
    assert done.returncode == 0
    assert calls[-1].endswith("-c constraints.txt -e .[view]")
    assert not any("[dev]" in call for call in calls)


def test_pytorchs_own_index_is_tried_next_and_the_reason_is_visible(tmp_path: Path) -> None:
    done, calls = install(tmp_path, r"--no-deps torch==.*\+cpu")
    assert done.returncode == 0, done.stderr
    assert torch_calls(calls) == [f"torch=={VERSION}+cpu", f"{CPU_INDEX} torch=={VERSION}+cpu"]
    assert "reason of call 1" in done.stderr
    assert "several GB" not in done.stderr


def test_where_no_index_has_the_cpu_build_the_large_one_is_taken_and_said(tmp_path: Path) -> None:
    done, calls = install(tmp_path, r"\+cpu")
    assert done.returncode == 0
    assert torch_calls(calls) == [f"torch=={VERSION}+cpu", f"{CPU_INDEX} torch=={VERSION}+cpu", f"torch=={VERSION}"]
    said = [line for line in done.stderr.splitlines() if line]
    assert said[0] == "reason of call 1"
    assert said[2] == "reason of call 2"
    assert sum("several GB" in line for line in said) == 1


def test_where_nothing_gives_torch_make_stops_with_every_reason(tmp_path: Path) -> None:
    done, calls = install(tmp_path, "torch==")
    assert done.returncode != 0
    assert [f"reason of call {number}" in done.stderr for number in (1, 2, 3)] == [True] * 3
    assert not any(".[dev]" in call for call in calls)
    assert not (tmp_path / ".venv" / "installed").exists()


def test_the_cuda_build_is_left_to_the_configured_index(tmp_path: Path) -> None:
    _, calls = install(tmp_path, "nothing", "TORCH=cuda")
    assert torch_calls(calls) == []
