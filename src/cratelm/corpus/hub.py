"""Data sets of the hub: files of a repository in the hub's cache, downloaded where the hub is allowed."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import is_offline_mode, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from cratelm.errors import InputError, first_line


def dataset_folder(repository: str, patterns: Sequence[str], revision: str | None, instead: str) -> Path:
    """The folder that holds those files of a data set that match one of `patterns`.

    A download that broke off goes on where it stopped. Raises InputError where the files cannot be had; `instead`
    says what else can be given.
    """
    try:
        return Path(
            snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=list(patterns))
        )
    except (OSError, HfHubHTTPError) as error:
        if is_offline_mode():
            reason = "is not here, and the hub is off: HF_HUB_OFFLINE=0 turns it on"
        else:
            reason = f"cannot be had: {first_line(error)}. Try again"
        raise InputError(f"datasets/{repository} {reason}; or give {instead}.") from error
