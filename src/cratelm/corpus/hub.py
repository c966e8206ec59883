"""Repositories of the hub: files of a repository, downloaded where the hub is allowed, or read from its cache."""

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, hf_hub_download, is_offline_mode, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from cratelm.errors import InputError, RunError, first_line

WAITS = (1, 2, 4, 8, 16, 30, 60)
"""Seconds before each new try, where the hub is busy or does not answer: two minutes in all, since a hub that counts
requests (status 429) gives none for a minute and more."""
BUSY = (408, 429, 500, 502, 503, 504)
NETWORK = (OSError, *HfHubHTTPError.__bases__)
"""What the hub's client raises: its own errors, and those of the HTTP library that it happens to be built on."""

Result = TypeVar("Result")


def dataset_folder(repository: str, patterns: Sequence[str], revision: str | None, instead: str) -> Path:
    """The folder of the hub's cache that holds those files of a data set that match one of `patterns`.

    A download that broke off goes on where it stopped. Raises InputError where the files cannot be had; `instead`
    says what else can be given.
    """
    with_patterns = {"repo_type": "dataset", "revision": revision, "allow_patterns": list(patterns)}
    return Path(patiently(f"datasets/{repository}", instead, lambda: snapshot_download(repository, **with_patterns)))


def list_dataset(
    repository: str, patterns: Sequence[str], revision: str | None, instead: str
) -> tuple[str, dict[str, int]]:
    """The commit that a revision of a data set is at, and the sizes in bytes of its files that match a pattern.

    Raises InputError where no file matches; `patiently` says how the hub fails.
    """
    info = patiently(
        f"datasets/{repository}",
        instead,
        lambda: HfApi().dataset_info(repository, revision=revision, files_metadata=True),
    )
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    found = {name: sizes[name] for name in sorted(sizes) if any(fnmatch(name, pattern) for pattern in patterns)}
    if not found:
        raise InputError(f"datasets/{repository} holds no file like {', '.join(patterns)}.")
    return str(info.sha), found


def download(repository: str, commit: str, name: str, folder: Path) -> Path:
    """One file of a data set, under its own name in `folder`; one that is whole there already is not fetched again."""
    where = {"repo_type": "dataset", "revision": commit, "local_dir": folder}
    ask = lambda: hf_hub_download(repository, name, **where)  # noqa: E731
    return Path(patiently(f"datasets/{repository}", "a folder with its files", ask))


def patiently(what: str, instead: str, ask: Callable[[], Result]) -> Result:
    """Ask for `what`, and again after a while where the hub is busy.

    Raises InputError where it says no, RunError where it does not answer; both say what to give `instead`.
    """
    waits = list(WAITS)
    while True:
        try:
            return ask()
        except NETWORK as error:  # type: ignore[not-a-type]
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's fault, not the hub's
            _require_busy(what, instead, error)
            if not waits:
                raise RunError(
                    f"the hub does not give {what}, asked {len(WAITS) + 1} times: {first_line(error)}. "
                    f"Run the same command again to go on; or give {instead}."
                ) from error
        time.sleep(waits.pop(0))


def _require_busy(what: str, instead: str, error: Exception) -> None:
    """Raise InputError where asking again would give the same answer."""
    if is_offline_mode():
        reason = "is not here, and the hub is off: HF_HUB_OFFLINE=0 turns it on"
    elif getattr(getattr(error, "response", None), "status_code", BUSY[0]) not in BUSY:
        reason = f"cannot be had: {first_line(error)}"
    else:
        return
    raise InputError(f"{what} {reason}; or give {instead}.") from error
