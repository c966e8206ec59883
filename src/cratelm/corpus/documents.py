"""The documents of a corpus, each once. Whatever is left out or replaced is counted, never hidden."""

import hashlib
from collections import Counter
from pathlib import Path

from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.readers import Texts, read_files
from cratelm.errors import InputError


def read_documents(corpus: str, limit: int | None = None, field: str = "text") -> tuple[list[str], dict[str, int]]:
    """The distinct, non-empty documents of a corpus in their order, and what was counted on the way.

    `corpus` is a name (`reviews`, `python-source`), a file or a folder; `field` is where a row of JSON, CSV or
    parquet holds its text; `limit` keeps the first so many documents. Raises InputError where there is nothing to
    read, or something cannot be read.
    """
    counts = Counter(read=0, empty=0, duplicate=0, invalid_utf8=0)
    documents: list[str] = []
    seen: set[bytes] = set()
    for text, replaced in _open(corpus, field):
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
        raise InputError(f"the corpus {corpus} holds no text.")
    return documents, {**counts, "kept": len(documents)}


def _open(corpus: str, field: str) -> Texts:
    if corpus in PACKAGED:
        return ((text, False) for text in PACKAGED[corpus]())
    return read_files(Path(corpus), field)
