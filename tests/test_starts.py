"""A command imports what it uses: packages that take seconds are left to those that need them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cratelm.cli import app

HEAVY = {"torch", "transformers", "accelerate", "datasets", "sae_lens"}
DRAWING = {"matplotlib", "jinja2"}
READERS = {"pandas", "huggingface_hub", "scipy", "pyarrow.dataset", "pyarrow.compute"}
TRAINING = {"transformers.trainer", "datasets", "scipy.stats", "sae_lens"}
CODE = """
import json, sys
from cratelm.cli import run
try:
    status = run(sys.argv[2:])
finally:
    open(sys.argv[1], "w").write(json.dumps(sorted(sys.modules)))
sys.exit(status)
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """The modules that are there when a command has ended, in a process of its own."""
    listed = folder / "modules.json"
    done = subprocess.run([sys.executable, "-c", CODE, str(listed), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(listed.read_text()))


COMMANDS = sorted(name for name in app if not name.startswith("-"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_takes_no_pytorch(command: str, tmp_path: Path) -> None:
    assert not imported(tmp_path, command, "--help") & (HEAVY | DRAWING | {"pandas", "huggingface_hub", "scipy"})


def test_show_imports_only_what_reads_files(study: Path, tmp_path: Path) -> None:
    name = sorted(path.name for path in (study / "records").iterdir())[0]
    assert not imported(tmp_path, "show", str(study), f"{name}/0/3") & (HEAVY | DRAWING | READERS)


@pytest.mark.processes
def test_steering_imports_nothing_that_trains_or_draws(study: Path, tmp_path: Path) -> None:
    model = sorted(path for path in (study / "models").iterdir())[0] / "model"
    found = imported(tmp_path, "steer", str(model), "0/3=8", "--prompt", "The film was", "--new-tokens", "1")
    assert not found & (TRAINING | {"matplotlib"})
