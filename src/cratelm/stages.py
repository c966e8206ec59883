"""The folder that a stage works in until it is whole: `NAME.partial`, next to its place.

A partial folder is ours only if its `stage.json` says so. Whatever else lies at that name is left alone, and what we
did not write never enters the finished folder.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cratelm.disk import FULL, disk_errors
from cratelm.errors import InputError, RunError
from cratelm.files import hash_file, read_object, write_json
from cratelm.ranges import shown

SCHEMA = 1
MANIFEST = "manifest.json"
IDENTITY = "stage.json"
LOCK = ".lock"
ADDED = {"dtype": "float32", "weights": "float32"}
"""Settings that folders of before do not name, and what held for them."""
VERSIONED = ("cratelm", "torch", "transformers", "tokenizers", "numpy", "pyarrow")


@dataclass(frozen=True)
class Stage:
    """A kind of stage, and what lies in its folder. Globs match paths below the folder; `*` matches a `/` too."""

    name: str
    files: tuple[str, ...]
    """Globs over what the finished folder holds. Logs, which lie in `log/`, need none."""
    scratch: tuple[str, ...] = ()
    """Globs over what lies there only while the stage works."""
    kept: tuple[str, ...] = ()
    """Globs over the scratch that a later run goes on from, and that no error removes."""


def next_to(out: Path, ending: str) -> Path:
    """The folder next to `out` whose name ends so; raises InputError where `out` is no name to be made, as `.` is."""
    if out.name in ("", ".."):
        raise InputError(f"{out} is a folder that is there already. Give the name of a new one.")
    return out.with_name(out.name + ending)


def partial_of(out: Path) -> Path:
    """Where a stage works until it is whole."""
    return next_to(out, ".partial")


def is_finished(folder: Path) -> bool:
    """Whether a stage's folder is there, complete: one whose work was stopped has no manifest."""
    return (folder / MANIFEST).is_file()


def require_place(out: Path) -> None:
    """Refuse a place that no folder could be moved to in the end, or inside a finished stage; raises InputError."""
    try:
        os.lstat(partial_of(out) if out.name not in ("", "..") else out)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot write to {shown(str(out))} ({reason}). Choose another folder.") from error
    if out.is_symlink() and not out.exists():
        raise InputError(
            f"{out} is a link to {out.readlink()}, which is not there. Remove it or choose another folder."
        )
    for folder in out.absolute().parents:
        if (folder / MANIFEST).is_file():
            raise InputError(f"{out} lies inside {folder}, a finished result. Choose a folder outside of it.")


def write_whole(out: Path, write: Callable[[Path], None]) -> None:
    """Write a file or a folder that is no stage: next to its place, and moved there in one step.

    Raises InputError where nothing can be made there, RunError where the disk is full.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=f"{out.name}.", dir=out.parent)
    except OSError as error:
        kind = RunError if error.errno in FULL else InputError
        raise kind(f"cannot write to {out.parent} ({error.strerror}). Choose another folder.") from error
    with folder as name, disk_errors(out.parent):
        write(Path(name) / out.name)
        (Path(name) / out.name).rename(out)


@dataclass(frozen=True)
class Claim:
    """A partial folder that this process alone works in."""

    folder: Path
    stage: Stage
    identity: dict[str, Any]
    created: bool
    """Whether this call made the folder, so that nothing in it is of an earlier run."""

    def abandon(self) -> None:
        """Remove the folder after an error in the input, unless it holds what a later run could go on from."""
        kept = any(True for pattern in self.stage.kept for _ in self.folder.glob(pattern))
        if self.created and not kept and not foreign(self.folder, (*self.stage.files, *self.stage.scratch)):
            shutil.rmtree(self.folder)

    def commit(self, out: Path) -> None:
        """Write the manifest last, and move the folder to its place in one step."""
        require_own(self.folder, self.stage.files)
        outputs = hashed(self.folder, _listed(self.folder))
        versions = {name: version(name) for name in VERSIONED}
        surroundings = {
            "versions": versions,
            "threads": threads(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        }
        write_json(self.folder / MANIFEST, self.identity | {"outputs": outputs} | surroundings)
        for name in (LOCK, IDENTITY):
            (self.folder / name).unlink()
        self.folder.rename(out)


def hashed(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str | int]]:
    """What a manifest says of the files of a folder: their hashes and sizes, by name."""
    return {
        name: {"sha256": hash_file(folder / name), "bytes": (folder / name).stat().st_size} for name in sorted(names)
    }


@contextmanager
def claimed(partial: Path, stage: Stage, identity: dict[str, Any]) -> Iterator[Claim]:
    """Hold the partial folder for one process, and only for one configuration.

    Raises InputError, and leaves everything as it is, where the folder is not this stage's own, another process works
    in it, or it was begun with other settings, inputs or threads.
    """
    created = _make(partial)
    if not created:
        _require_ours(partial, stage)
    with _locked(partial):
        begun = [partial / name for name in (IDENTITY, MANIFEST) if (partial / name).is_file()]
        if begun:
            _require_continued(read_object(begun[0]), identity, partial)
            require_own(partial, (*stage.files, *stage.scratch))
        if not (partial / IDENTITY).is_file():
            write_json(partial / IDENTITY, identity | {"threads": threads()})
        yield Claim(partial, stage, identity, created)


def threads() -> int | None:
    """How many threads torch computes with, on which the last bits of sums depend; None where it is not loaded."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def is_ours(folder: Path, stage: str) -> bool:
    """Whether a folder is a stage's work, finished or not."""
    claims = [folder / name for name in (IDENTITY, MANIFEST) if (folder / name).is_file()]
    if folder.is_symlink() or not claims:
        return False
    claim = read_object(claims[0])
    return claim.get("schema") == SCHEMA and claim.get("stage") == stage


def foreign(folder: Path, own: tuple[str, ...]) -> list[str]:
    """The paths in a partial folder that match none of the globs `own`: links, and files that we did not write."""
    return [
        name
        for name in _listed(folder)
        if (folder / name).is_symlink() or not any(fnmatchcase(name.removesuffix(".new"), glob) for glob in own)
    ]


def require_own(folder: Path, own: tuple[str, ...]) -> None:
    """Refuse a partial folder with a file of somebody else's; raises InputError."""
    others = foreign(folder, own)
    if others:
        raise InputError(
            f"{folder} holds {shown(others[0])}, which cratelm did not write. Move it elsewhere, and run the "
            "same command again to go on."
        )


def require_same(ours: Any, theirs: Any, out: Path) -> None:
    """Refuse a folder that was made with other settings or inputs; raises InputError that lists them."""
    changed = differences(ours, theirs)
    if changed:
        lines = "\n  ".join(changed)
        raise InputError(
            f"{out} was made with other settings or inputs:\n  {lines}\nChoose another folder, or remove this one."
        )


def differences(ours: Any, theirs: Any, prefix: str = "") -> list[str]:
    """The keys at which two plain configurations differ, as readable lines."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        pairs = ((key, ours.get(key, ADDED.get(key)), theirs.get(key, ADDED.get(key))) for key in keys)
        return [line for key, one, other in pairs for line in differences(one, other, f"{prefix}.{key}")]
    same = ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)  # in Python, True is 1
    return [] if same else [f"{prefix.lstrip('.')}: {shown(theirs)} there, {shown(ours)} asked for"]


def _make(partial: Path) -> bool:
    """Whether the folder was made, rather than there already."""
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(partial):
            return False
        kind = RunError if error.errno in FULL else InputError
        raise kind(f"cannot write to {partial} ({error.strerror}). Choose another folder.") from error
    return True


def _require_ours(partial: Path, stage: Stage) -> None:
    if partial.is_symlink() or not partial.is_dir():
        holds = "is no folder"
    elif is_ours(partial, stage.name):
        return
    else:
        # A run that was killed before it could say what it is leaves these.
        others = sorted({path.name for path in partial.iterdir()} - {LOCK, f"{IDENTITY}.new"})
        if not others:
            return
        holds = f"holds {shown(others[0])}"
    raise InputError(
        f"{partial} is in the way: it {holds}, and is not an unfinished {stage.name} of cratelm. Move it elsewhere or "
        "choose another --out; nothing was changed."
    )


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    try:
        lock = os.fdopen(os.open(partial / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "w")
    except OSError as error:
        kind = RunError if error.errno in FULL else InputError
        raise kind(f"cannot write to {partial} ({error.strerror}). Choose another folder.") from error
    # A child that outlives a killed stage must not go on holding its lock.
    os.register_at_fork(after_in_child=lock.close)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is working in {partial}. Wait for it, or end it.") from error
        yield


def _require_continued(theirs: Mapping[str, Any], identity: Mapping[str, Any], partial: Path) -> None:
    """The same settings and inputs, and as many threads, without which the bytes would be others."""
    require_same(dict(identity), {key: theirs.get(key) for key in identity}, partial)
    before, now = theirs.get("threads"), threads()
    if None not in (before, now) and before != now:
        raise InputError(
            f"{partial} was begun on {before} threads, this process has {now}, and the two would not give the "
            f"same bytes. Set OMP_NUM_THREADS={before} to go on, or remove that folder to begin again."
        )


def _listed(folder: Path) -> list[str]:
    """The files and links in a partial folder, without logs and what says whose it is."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    own = (LOCK, IDENTITY, f"{IDENTITY}.new", MANIFEST, f"{MANIFEST}.new")
    return [name for name in names if name not in own and not name.startswith("log/")]
