"""A stage's output folder: made next to its place, hashed, and moved there in one step when it is complete.

A stage is a function from folders to a folder. While it works, its files lie in `NAME.partial`; when it is
done, `manifest.json` is written last and the folder is renamed to `NAME`. So a folder is either whole or not
there, a killed stage goes on from what its partial folder holds, and asking again for a finished one costs a
check of its hashes. Manifests hold no clock readings: those live in `log/`, which is not hashed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cratelm.disk import disk_errors
from cratelm.errors import InputError
from cratelm.files import as_plain, hash_file, read_json, read_object, write_json
from cratelm.folder_names import STUDY, wrong_folder
from cratelm.stages import (
    MANIFEST,
    SCHEMA,
    Stage,
    claimed,
    is_finished,
    is_ours,
    partial_of,
    require_place,
    require_same,
)

__all__ = [
    "LEFT_OUT",
    "MANIFEST",
    "STUDY",
    "Artifact",
    "Stage",
    "as_plain",
    "claim_study",
    "damage_named",
    "hash_file",
    "is_finished",
    "open_artifact",
    "open_unhashed",
    "read_json",
    "read_object",
    "require_same_study",
    "require_whole",
    "run_stage",
    "write_json",
]
LEFT_OUT = "left_out"
"""The entry of a manifest that names the files which a packed study leaves out (demo/pack.py)."""


@dataclass(frozen=True)
class Artifact:
    """A finished stage's folder: where it is, and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called in results."""
        return self.path.name

    @property
    def origin(self) -> dict[str, str]:
        """Where it was downloaded from, as results say it; nothing of what was made here."""
        return {}

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration that made it."""
        return self.manifest["config"]

    @property
    def sha256(self) -> str:
        """The hash of its manifest, and through it of every file and input (a Merkle tree)."""
        return hash_file(self.path / MANIFEST)


def open_artifact(path: Path, stage: str, checked: Sequence[str] = ("*",)) -> Artifact:
    """Open a finished stage's folder, with every file, or those that match a glob, checked against its hash.

    Raises InputError where the folder is missing, of another stage or schema, or damaged.
    """
    artifact = open_unhashed(path, stage)
    for name, expected in artifact.manifest["outputs"].items():
        file = path / name
        if any(fnmatchcase(name, glob) for glob in checked) and not _is_whole(file, expected):
            raise InputError(f"{file} is missing or damaged. Remove the folder {path} and run the command again.")
    return artifact


def _is_whole(file: Path, expected: Any) -> bool:
    """Whether a file has the size and the hash that the manifest expects; no file has those of a damaged manifest."""
    if not isinstance(expected, dict) or not file.is_file() or file.stat().st_size != expected.get("bytes"):
        return False
    return hash_file(file) == expected.get("sha256")


def open_unhashed(path: Path, stage: str) -> Artifact:
    """The same by its manifest alone, for looking at a large one at once: a damaged file shows where it is read.

    Raises InputError where the folder is missing, or of another stage or schema.
    """
    if not (path / MANIFEST).is_file():
        raise InputError(wrong_folder(path, stage))
    manifest = read_object(path / MANIFEST)
    if manifest.get("stage") != stage:
        raise InputError(wrong_folder(path, stage))
    if manifest.get("schema") != SCHEMA:
        raise InputError(
            f"{path} is of version {manifest.get('schema')!r} of the format, and this cratelm reads version {SCHEMA}. "
            "Make it again."
        )
    read_object(path / MANIFEST, config=dict, inputs=dict, outputs=dict)
    return Artifact(path, manifest)


def require_whole(artifact: Artifact) -> None:
    """Refuse a stage of a packed study, which is there to be looked at, where another stage would be made of it."""
    left_out = artifact.manifest.get(LEFT_OUT)
    if left_out:
        raise InputError(
            f"{artifact.path} is part of a packed study, which leaves out what this is made from: {len(left_out)} "
            f"files, such as {left_out[0]}. Make the study yourself, by cratelm study --preset demo --out DIR."
        )


@contextmanager
def damage_named(opened: Sequence[Artifact]) -> Iterator[None]:
    """Whatever fails while artifacts that were opened unhashed are read: a damaged file is to blame if there is one.

    Raises InputError that names the file; where all files are whole, the error itself, which is then a bug.
    """
    try:
        yield
    except InputError:
        raise
    except Exception:
        for artifact in opened:
            open_artifact(artifact.path, artifact.manifest["stage"])
        raise


def run_stage(
    out: Path,
    stage: Stage,
    config: Any,
    inputs: Mapping[str, Artifact],
    work: Callable[[Path], None],
    ready: Callable[[], None] = lambda: None,
) -> Artifact:
    """Give the artifact in `out`, calling `work` on a partial folder to make it unless it is there already.

    `config` is the stage's dataclass. `ready` refuses, before anything is touched, what the surroundings cannot do: a
    package that is missing, a GPU that is not there. `work` may find the files of a killed run in the folder that it
    gets; no error removes what an earlier run left.

    Raises InputError where `out` holds something else, or the same stage of another configuration or input.
    """
    identity = {
        "schema": SCHEMA,
        "stage": stage.name,
        "config": as_plain(config),
        "inputs": {name: artifact.sha256 for name, artifact in inputs.items()},
    }
    require_place(out)
    if (out / MANIFEST).is_file():
        artifact = open_artifact(out, stage.name)
        require_same(identity, {key: artifact.manifest[key] for key in identity}, out)
        return artifact
    if out.exists():
        raise InputError(f"{out} exists and is not a finished {stage.name}. Choose another folder.")
    for artifact in inputs.values():
        require_whole(artifact)
    ready()
    with claimed(partial_of(out), stage, identity) as claim, disk_errors(claim.folder):
        try:
            work(claim.folder)
        except InputError:
            claim.abandon()
            raise
        claim.commit(out)
    return open_unhashed(out, stage.name)  # its hashes were just taken


def require_same_study(out: Path, config: Any) -> None:
    """Refuse a folder that holds another study, or something that is no study."""
    require_place(out)
    if (out / STUDY).is_file():
        require_same(as_plain(config), read_object(out / STUDY), out)
    elif out.exists() and not _is_begun_study(out):
        raise InputError(f"{out} exists and is not a study of cratelm. Choose another folder for --out.")


def _is_begun_study(out: Path) -> bool:
    """Whether a folder is empty, or holds only the tokens with which a study begins (see `claim_study`)."""
    tokens = out / "tokens"
    own = [tokens, partial_of(tokens), out / f"{STUDY}.new"]
    entries = list(out.iterdir()) if out.is_dir() else [out]
    return all(path in own for path in entries) and all(is_ours(path, "tokens") for path in entries if path in own[:2])


def claim_study(out: Path, config: Any) -> None:
    """Make `out` the folder of this study alone. Claimed late, so that a slip in the settings spoils no folder."""
    if not (out / STUDY).is_file():
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / STUDY, as_plain(config))
