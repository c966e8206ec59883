"""The command line on a cluster, from text to scores, next to one worker of this machine."""

import os
import subprocess
import sys
from pathlib import Path

from cratelm.artifacts import read_object

CORPUS = ["--corpus", "reviews", "--tokenizer", "bpe:300", "--documents", "300"]
STEPS = 40


def cratelm(*arguments, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    command = [*before, sys.executable, "-c", "from cratelm.cli import main; main()", *map(str, arguments)]
    # All nodes are this machine, and their names are the cluster's alone.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def train(folder: Path, name: str, before: tuple[str, ...] = ()) -> None:
    """A model in FOLDER/NAME, of tokens in FOLDER/tokens that are made first."""
    assert cratelm("tokenize", *CORPUS, "--out", folder / "tokens").returncode == 0
    settings = ["--preset", "smoke", "--shape.width", "16", "--shape.context", "80", "--training.precision", "fp32"]
    settings += ["--tokens", folder / "tokens", "--training.tokens", STEPS * 8 * 80]
    trained = cratelm("train", *settings, "--out", folder / name, before=before)
    assert trained.returncode == 0, trained.stderr


def require_same_bytes(trained: Path, out: Path, *engine: str) -> str:
    """Tokenize, record and score by an engine and by one worker; gives what the engine's last command said."""
    said = ""
    for name, more in (("here", []), ("there", engine)):
        made = out / name
        for command in (
            ["tokenize", *CORPUS, "--out", made / "tokens", *more],
            ["record", trained / "one", "--text", trained / "tokens", "--out", made / "records", "--pool", 50, *more],
            ["explain", made / "records", "--out", made / "explanations"],
            ["score", made / "records", "--explanations", made / "explanations", "--out", made / "scores", *more],
        ):
            done = cratelm(*command)
            assert done.returncode == 0, done.stderr
            said = done.stderr
    for stage in ("tokens", "records", "scores"):
        here, there = (read_object(out / name / stage / "manifest.json")["outputs"] for name in ("here", "there"))
        assert here == there
    return said
