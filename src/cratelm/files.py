"""Small files: JSON that is written whole or not at all, and hashes."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cratelm.errors import InputError


def cache_folder() -> Path:
    """One user's folder for files that can be recomputed: ~/.cache/cratelm, or in XDG_CACHE_HOME."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cratelm"


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class FileState:
    """A file as it is now. Equal to what it was before, wherever it was moved, as long as nobody writes it again."""

    path: Path = dataclasses.field(compare=False)
    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """The state of the file at a path; OSError where there is none."""
        found = path.stat()
        return cls(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


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
    """Read a JSON file; InputError, which names it, where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "brackets are nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path} is damaged ({reason}). {_advice(path)}") from error


def read_object(path: Path, **types: type) -> dict[str, Any]:
    """Read a JSON file that holds an object, with entries of these names and types.

    Raises InputError, naming what is missing, where it holds something else.
    """
    value = read_json(path)
    wrong = None if isinstance(value, dict) else f"it holds {type(value).__name__} instead of an object"
    for name, kind in types.items() if wrong is None else ():
        if not isinstance(value.get(name), kind):
            wrong = wrong or f"it has no `{name}` that could be used"
    if wrong:
        raise InputError(f"{path} is damaged ({wrong}). {_advice(path)}")
    return value


def _advice(path: Path) -> str:
    """What to do about a damaged file; nobody is told to remove a folder that cratelm did not make."""
    made = any((folder / name).exists() for folder in path.parents[:2] for name in ("manifest.json", "stage.json"))
    return "Remove its folder and run the command again." if made else "Restore it from a copy, or give another one."
