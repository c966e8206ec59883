"""Stages in a process of their own that end in the middle of a write, at a file that the test names."""

import os
import signal
import sys
from pathlib import Path

from cratelm.artifacts import open_artifact
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain
from cratelm.progress import Progress
from tests.rule_judge import NAMED, ByRule
from tests.training import training_runs

EXPLAIN = ExplainConfig(explainer="table,llm", llm_units=3)


def die_at(written: Path, half: bool) -> None:
    """Be killed as soon as a file is there, with half of what was written to it, or all.

    Python tells its hooks of nearly all that it does, so the next thing that the process does is its end.
    """
    dying = False

    def hear(event: str, arguments: tuple) -> None:
        nonlocal dying
        if dying or not os.path.exists(written):  # noqa: PTH110  pathlib would be heard here again
            return
        dying = True
        if half:
            os.truncate(written, written.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


def train_and_die(tokens: Path, out: Path, file: str, half: bool) -> None:
    """A training that ends at a file in its unfinished folder."""
    die_at(out.with_name(f"{out.name}.partial") / file, half)
    training_runs.run(tokens, out)


def explain_and_die(records: Path, out: Path, file: str, half: bool) -> None:
    """Explanations, a judge's among them, that end at a file in their unfinished folder."""
    die_at(out.with_name(f"{out.name}.partial") / file, half)
    explain(EXPLAIN, open_artifact(records, "records"), out, Progress(), NAMED, ByRule())
