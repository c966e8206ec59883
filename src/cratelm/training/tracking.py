"""Where losses are sent beside our own log, by transformers' integrations."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cratelm.errors import InputError

FOLDERS = {"tensorboard": "TENSORBOARD_LOGGING_DIR", "wandb": "WANDB_DIR"}
"""The trackers that write to a folder, and how each is told which; trackio has one of its own for all runs."""


def tracking_arguments(tracker: str, log: Path, run: str) -> dict[str, Any]:
    """What the Trainer is told; what the tracker writes lies in `log`. InputError where its package is missing."""
    if tracker == "none":
        return {"report_to": "none"}
    if find_spec(tracker) is None:
        package = "'cratelm[track]'" if tracker == "trackio" else tracker
        raise InputError(f"--training.track {tracker} needs a package: pip install {package}.")
    if tracker in FOLDERS:
        log.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault(FOLDERS[tracker], str(log / tracker) if tracker == "tensorboard" else str(log))
    return {"report_to": tracker, "project": "cratelm", "run_name": run}
