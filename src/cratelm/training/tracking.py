"""Where losses are sent in addition to our own log, by transformers' integrations."""

import os
from importlib.util import find_spec
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cratelm.errors import InputError

FOLDERS = {"tensorboard": "TENSORBOARD_LOGGING_DIR", "wandb": "WANDB_DIR"}
"""The trackers that write to a folder, and how each is told which; trackio has one of its own for all runs."""


WANDB_HOST = "api.wandb.ai"
WITHOUT_LOGIN = ("offline", "disabled", "dryrun")
"""Values of WANDB_MODE at which wandb asks nobody who they are."""


def require_tracker(tracker: str) -> None:
    """Raise InputError where a tracker's package or its login is missing."""
    if tracker == "none":
        return
    if find_spec(tracker) is None:
        package = "'cratelm[track]'" if tracker == "trackio" else tracker
        raise InputError(f"--training.track {tracker} needs a package: pip install {package}.")
    if tracker == "wandb" and not _has_login():
        raise InputError(
            "--training.track wandb needs a login: run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline."
        )


def _has_login() -> bool:
    """Whether wandb would find a key without asking on the terminal."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") in WITHOUT_LOGIN:
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "")).hostname or WANDB_HOST
    try:
        return netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False


def tracking_arguments(tracker: str, log: Path, run: str) -> dict[str, Any]:
    """What the Trainer is told; what the tracker writes lies in `log`. InputError where its package is missing."""
    require_tracker(tracker)
    if tracker == "none":
        return {"report_to": "none"}
    if tracker in FOLDERS:
        log.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault(FOLDERS[tracker], str(log / tracker) if tracker == "tensorboard" else str(log))
    return {"report_to": tracker, "project": "cratelm", "run_name": run}
