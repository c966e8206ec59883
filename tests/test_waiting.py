"""Threads that wait leave the processor to others: what OpenMP itself says of its settings."""

import os
import re
import subprocess
import sys

import pytest

from cratelm.cli import SPINS

LOADED = """
import sys
from cratelm import cli
cli.run = lambda arguments: __import__("torch") and 0
sys.argv = ["cratelm"]
cli.main()
"""


def spins(**given: str) -> str:
    """GOMP_SPINCOUNT of a process that the command line has started, with torch in it, as GNU OpenMP prints it."""
    ours = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | given
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True)
    (found,) = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)
    return found


@pytest.mark.processes
def test_a_waiting_thread_soon_sleeps() -> None:
    assert spins() == SPINS


@pytest.mark.processes
@pytest.mark.parametrize(
    ("given", "expected"), [({"GOMP_SPINCOUNT": "777"}, "777"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_what_a_user_says_of_waiting_holds(given: dict[str, str], expected: str) -> None:
    assert spins(**given) == expected
