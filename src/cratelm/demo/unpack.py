"""The study that comes with the package, unpacked once into the user's cache folder."""

import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from cratelm.artifacts import MANIFEST, open_artifact, read_json, read_object, write_json
from cratelm.disk import FULL, disk_errors, require_disk
from cratelm.errors import InputError, RunError
from cratelm.files import cache_folder, hash_file
from cratelm.progress import Progress

ARCHIVE = "study.tar.xz"
"""What demo/pack.py made, in this folder."""
ORIGIN = "archive.json"
"""The file of the unpacked folder that names the archive it came from."""
GROWTH = 10
"""Bytes unpacked for a byte of the archive, at most."""


def unpack_demo(progress: Progress) -> Path:
    """The folder of the demo study, which the first call unpacks; another version of the package replaces it.

    A call that is killed leaves no folder, and a folder with a damaged file is unpacked again. Raises RunError where
    the package came without the study or the disk is full, InputError where the cache folder cannot be written.
    """
    with as_file(files("cratelm.demo") / ARCHIVE) as archive:
        if not archive.is_file():
            raise RunError("the demo study is missing from this installation. Install cratelm again.")
        sha256, out = hash_file(archive), cache_folder() / "demo"
        with _locked(out):
            if not _is_whole(out, sha256):
                with progress.task("unpacking the demo study"), disk_errors(out.parent):
                    _unpack(archive, sha256, out)
    return out


def _is_whole(folder: Path, sha256: str) -> bool:
    """Whether the folder is this archive's, and every file of its stages is as the manifests say."""
    if not (folder / ORIGIN).is_file():
        return False
    try:
        for manifest in folder.rglob(MANIFEST):
            open_artifact(manifest.parent, read_object(manifest, stage=str)["stage"])
        return read_json(folder / ORIGIN) == {"sha256": sha256}
    except InputError:
        return False


def _unpack(archive: Path, sha256: str, out: Path) -> None:
    """Unpack next to the place, and move the whole folder there."""
    partial, old = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.old")
    require_disk(out.parent, GROWTH * archive.stat().st_size, "the files of the demo study")
    for folder in (partial, old):
        if folder.exists():  # a call that was killed
            shutil.rmtree(folder)
    with tarfile.open(archive, "r:xz") as packed:
        packed.extractall(partial, filter="data")
    write_json(partial / ORIGIN, {"sha256": sha256})
    if out.exists():
        out.rename(old)
    partial.rename(out)
    if old.exists():
        shutil.rmtree(old)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Alone among the processes that unpack; the others wait. A process that dies frees the lock."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = os.fdopen(os.open(out.with_name(f"{out.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "w")
    except OSError as error:
        if error.errno in FULL:
            raise RunError(f"{out.parent} has no room for the demo study ({error.strerror}). Make some.") from error
        raise InputError(
            f"cannot write to {out.parent} ({error.strerror}). Name another cache folder in XDG_CACHE_HOME."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
