"""Which files of a folder are sent: those that manifests list, after a check of their hashes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from cratelm.artifacts import MANIFEST, open_artifact, read_object
from cratelm.errors import InputError

LOG = "log"
SENT = {"tokens": ("explain.ds*", "score.ds*", "counts.json", "tokenizer.json")}
"""By stage, globs over what is sent of it; of other stages all. Of the text, what the models were measured on."""


@dataclass(frozen=True)
class Contents:
    """What is sent of a folder, and what is not."""

    files: dict[str, Path]
    """By name in the repository."""
    at_home: dict[str, int] = field(default_factory=dict)
    """What stays here, in bytes by folder; logs of all folders together."""

    @property
    def bytes(self) -> int:
        """The size of what is sent."""
        return sum(file.stat().st_size for file in self.files.values())


def stage_files(folder: Path, stage: str) -> dict[str, Path]:
    """The files of a finished stage that are sent, its manifest included, by name; InputError where one is damaged."""
    globs = SENT.get(stage, ("*",))
    names = open_artifact(folder, stage, globs).manifest["outputs"]
    return {name: folder / name for name in (MANIFEST, *names) if name == MANIFEST or matches(name, globs)}


def matches(name: str, globs: Sequence[str]) -> bool:
    """Whether a name is of one of these forms."""
    return any(fnmatchcase(name, glob) for glob in globs)


def stage_contents(folder: Path, stage: str) -> Contents:
    """A finished stage's folder; InputError where a file is damaged."""
    files = stage_files(folder, stage)
    return Contents(files, _rest(folder, set(files.values())))


def study_contents(folder: Path, own: tuple[str, ...]) -> Contents:
    """All finished stages of a study, and its files `own`; InputError where a file is damaged."""
    files = {name: folder / name for name in own}
    for place in _stages(folder):
        stage = read_object(place / MANIFEST, stage=str)["stage"]
        below = place.relative_to(folder).as_posix()
        files |= {f"{below}/{name}": file for name, file in stage_files(place, stage).items()}
    return Contents(files, _rest(folder, set(files.values())))


def model_contents(folder: Path, stage: Path, patterns: tuple[str, ...]) -> Contents:
    """The files of a model's folder that match a pattern; the rest of its stage's folder stays here.

    Raises InputError where none of them holds weights.
    """
    files = {file.name: file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()}
    if not any(name.endswith(".safetensors") for name in files):
        raise InputError(f"{folder} holds no safetensors: there is no model to send.")
    return Contents(files, _rest(stage, set(files.values())))


def pages_contents(folder: Path) -> Contents:
    """Every file of an export of the viewer; InputError where a link would lead out of it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    links = [path for path in paths if path.is_symlink()]
    if links:
        raise InputError(f"{links[0]} is a link, which no export has. Export the study again into a new folder.")
    return Contents({path.relative_to(folder).as_posix(): path for path in paths})


def _stages(folder: Path) -> Iterator[Path]:
    """The finished stages below a folder, through links as well: a measured model is a link to where it was."""
    for place in sorted(folder.iterdir()):
        if place.is_dir() and (place / MANIFEST).is_file():
            yield place
        elif place.is_dir() and not place.is_symlink():
            yield from _stages(place)


def _rest(folder: Path, sent: set[Path]) -> dict[str, int]:
    """The bytes of what is not sent: by the folder's entries, of all logs together, and of what links lead to."""
    sizes: dict[str, int] = defaultdict(int)
    for path in folder.rglob("*"):
        place = path.relative_to(folder)
        if path.is_symlink() and path.is_dir() and not any(path in file.parents for file in sent):
            sizes[f"{place.as_posix()} (a link)"] = sum(
                file.stat().st_size for file in path.rglob("*") if file.is_file()
            )
        elif path.is_file() and path not in sent:
            sizes[LOG if LOG in place.parts else place.parts[0]] += path.stat().st_size
    return {name: sizes[name] for name in sorted(sizes)}
