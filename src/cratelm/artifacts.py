"""A stage's output folder: made beside its place, hashed, and moved there in one step when it is whole.

A stage is a function from folders to a folder. While it works, its files lie in `NAME.partial`; when it is
done, `manifest.json` is written last and the folder is renamed to `NAME`. So a folder is either whole or not
there, a killed stage goes on from what its partial folder holds, and asking again for a finished one costs a
check of its hashes. Manifests hold no clock readings: those live in `log/`, which is not hashed.
"""

import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from cratelm.errors import InputError, RunError

SCHEMA = 1
MANIFEST = "manifest.json"
IDENTITY = "stage.json"
STUDY = "study.json"
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
VERSIONED = ("cratelm", "torch", "transformers", "tokenizers", "numpy", "pyarrow")


@dataclass(frozen=True)
class Artifact:
    """A finished stage's folder: where it is, and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration that made it."""
        return self.manifest["config"]

    @property
    def sha256(self) -> str:
        """The hash of its manifest, and through it of every file and input (a Merkle tree)."""
        return hash_file(self.path / MANIFEST)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_plain(config: Any) -> Any:
    """A dataclass as what JSON holds, so that a configuration compares equal after a round trip."""
    plain = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config  # type: ignore[arg-type]
    return json.loads(json.dumps(plain))


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file; a damaged one is the input's fault and is named."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({error}). Remove its folder and run the command again.") from error


def differences(ours: Any, theirs: Any, prefix: str = "") -> list[str]:
    """The keys at which two plain configurations differ, as readable lines."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        return [line for key in keys for line in differences(ours.get(key), theirs.get(key), f"{prefix}.{key}")]
    return [] if ours == theirs else [f"{prefix.lstrip('.')}: {theirs!r} there, {ours!r} asked for"]


def open_artifact(path: Path, stage: str) -> Artifact:
    """Open a finished stage's folder, with every file checked against its hash.

    Raises InputError where the folder is missing, of another stage or schema, or damaged.
    """
    artifact = open_unhashed(path, stage)
    for name, expected in artifact.manifest["outputs"].items():
        file = path / name
        if not file.is_file() or file.stat().st_size != expected["bytes"] or hash_file(file) != expected["sha256"]:
            raise InputError(f"{file} is missing or damaged. Remove the folder {path} and run the command again.")
    return artifact


def open_unhashed(path: Path, stage: str) -> Artifact:
    """The same by its manifest alone, for looking at a large one at once: a damaged file shows where it is read.

    Raises InputError where the folder is missing, or of another stage or schema.
    """
    if not (path / MANIFEST).is_file():
        raise InputError(f"{path} holds no finished {stage} ({MANIFEST} is missing). Make it first.")
    manifest = read_json(path / MANIFEST)
    if manifest.get("schema") != SCHEMA or manifest.get("stage") != stage:
        found = f"stage {manifest.get('stage')!r}, schema {manifest.get('schema')!r}"
        raise InputError(f"{path} holds {found}; needed is stage {stage!r}, schema {SCHEMA}.")
    return Artifact(path, manifest)


def run_stage(
    out: Path, stage: str, config: Any, inputs: Mapping[str, Artifact], work: Callable[[Path], None]
) -> Artifact:
    """Give the artifact in `out`, calling `work` on a partial folder to make it unless it is there already.

    `config` is the stage's dataclass. `work` may find the files of a killed run in the folder that it gets.
    Raises InputError where `out` holds something else, or the same stage of another configuration or input.
    """
    identity = {
        "schema": SCHEMA,
        "stage": stage,
        "config": as_plain(config),
        "inputs": {name: artifact.sha256 for name, artifact in inputs.items()},
    }
    if (out / MANIFEST).is_file():
        artifact = open_artifact(out, stage)
        _require_same(identity, {key: artifact.manifest[key] for key in identity}, out)
        return artifact
    if out.exists():
        raise InputError(f"{out} exists and is not a finished {stage}. Choose another folder.")
    partial = out.with_name(out.name + ".partial")
    with _claimed(partial, identity), _disk_errors(partial):
        try:
            work(partial)
        except InputError:
            shutil.rmtree(partial)  # nothing in it is worth going on from
            raise
        _commit(partial, out, identity)
    return open_artifact(out, stage)


def require_same_study(out: Path, config: Any) -> None:
    """Refuse a folder that holds another study, or something that is no study."""
    if (out / STUDY).is_file():
        _require_same(as_plain(config), read_json(out / STUDY), out)
    elif out.exists() and (not out.is_dir() or any(not path.name.startswith("tokens") for path in out.iterdir())):
        raise InputError(f"{out} exists and is not a study of cratelm. Choose another folder for --out.")


def claim_study(out: Path, config: Any) -> None:
    """Make `out` the folder of this study alone. Claimed late, so that a slip in the settings spoils no folder."""
    if not (out / STUDY).is_file():
        write_json(out / STUDY, as_plain(config))


def _require_same(ours: Any, theirs: Any, out: Path) -> None:
    changed = differences(ours, theirs)
    if changed:
        lines = "\n  ".join(changed)
        raise InputError(
            f"{out} was made with other settings or inputs:\n  {lines}\nChoose another folder, or remove this one."
        )


@contextmanager
def _claimed(partial: Path, identity: dict[str, Any]) -> Iterator[None]:
    """Hold the partial folder for one process, and only for one configuration."""
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = (partial / ".lock").open("w")
    except OSError as error:
        raise InputError(f"cannot write to {partial} ({error.strerror}). Choose another folder.") from error
    # A child that outlives a killed stage must not go on holding its lock.
    os.register_at_fork(after_in_child=lock.close)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is working in {partial}. Wait for it, or end it.") from error
        claimed = [partial / name for name in (IDENTITY, MANIFEST) if (partial / name).is_file()]
        if claimed:
            theirs = read_json(claimed[0])
            _require_same(identity, {key: theirs[key] for key in identity}, partial)
        write_json(partial / IDENTITY, identity)
        yield


def _commit(partial: Path, out: Path, identity: dict[str, Any]) -> None:
    scratch = (".lock", IDENTITY, MANIFEST)
    outputs = {}
    for file in sorted(path for path in partial.rglob("*") if path.is_file()):
        name = file.relative_to(partial).as_posix()
        if name not in scratch and not name.startswith("log/"):
            outputs[name] = {"sha256": hash_file(file), "bytes": file.stat().st_size}
    versions = {name: version(name) for name in VERSIONED}
    write_json(partial / MANIFEST, identity | {"outputs": outputs, "versions": versions})
    for name in (".lock", IDENTITY):
        (partial / name).unlink()
    partial.rename(out)


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Raise RunError where `folder`'s disk has less room than the bytes that `what` takes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"{what} need about {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free. Make room or "
            "choose another folder, then run the same command again."
        )


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Say what the disk is at fault for, whoever noticed it: torch and safetensors have errors of their own."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        reason, cause = error.strerror, error
    except (RuntimeError, SafetensorError) as error:
        reason, cause = _write_fault(folder, error), error
        if reason is None:
            raise
    else:
        return
    raise RunError(
        f"writing to {folder} failed: {reason}. Mend that, then run the same command again to go on."
    ) from cause


def _write_fault(folder: Path, error: Exception) -> str | None:
    """Why nothing can be written to the folder, or None: torch's error does not say it."""
    said = [os.strerror(number) for number in DISK_FAULTS if os.strerror(number) in str(error)]
    if said:
        return said[0]
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**20))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as fault:
        return fault.strerror
    return None
