"""Commands that ask a stand-in for the hub, several in one process, because each process imports torch again."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.test_hub import served

PROGRAM = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout

from cratelm.cli import run

for arguments in json.loads(sys.argv[1]):
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        status = run(arguments)
    print(json.dumps([status, out.getvalue(), error.getvalue()]))
"""


@dataclass(frozen=True)
class Answer:
    """What a command ended with."""

    status: int
    out: str
    error: str


def ask(repository: Path, *commands: list[str]) -> list[Answer]:
    """Run the commands one after another, with `repository` as the only one of the hub."""
    with served(repository, refusals=0) as address:
        allowed = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(repository.parent / "home")}
        environment = os.environ | allowed | {"HF_HUB_DISABLE_XET": "1"}
        program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
        done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [Answer(*json.loads(line)) for line in done.stdout.splitlines()]
