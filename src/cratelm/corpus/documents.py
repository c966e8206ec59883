"""The documents of a corpus, each once. Whatever is left out or replaced is counted, never hidden."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.readers import Texts, read_files
from cratelm.errors import InputError

COUNTED = ("read", "empty", "duplicate", "invalid_utf8", "kept")


def read_documents(corpus: str, limit: int | None = None, field: str = "text") -> tuple[list[str], dict[str, int]]:
    """All documents of a corpus that fits in memory, and what was counted.

    `corpus` is a name (`reviews`, `python-source`) or a path; see CorpusConfig. Raises InputError where there is no
    text, or something cannot be read.
    """
    counts: Counter[str] = Counter()
    texts = packaged_texts(corpus) if corpus in PACKAGED else read_files(Path(corpus), field)
    documents = list(distinct_documents(texts, counts, limit))
    if not documents:
        raise InputError(f"the corpus {corpus} holds no text.")
    return documents, dict(counts)


def packaged_texts(corpus: str) -> Texts:
    """The documents of a corpus that comes with a package, by its name."""
    return ((text, False) for text in PACKAGED[corpus]())


def distinct_documents(texts: Texts, counts: Counter[str], limit: int | None = None) -> Iterator[str]:
    """The non-empty documents in their order, exact duplicates left out; `counts` is filled on the way.

    `limit` keeps the first so many documents.
    """
    counts.update(dict.fromkeys(COUNTED, 0))
    seen: set[bytes] = set()
    for text, replaced in texts:
        counts["read"] += 1
        counts["invalid_utf8"] += replaced
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if not text.strip():
            counts["empty"] += 1
        elif digest in seen:
            counts["duplicate"] += 1
        else:
            seen.add(digest)
            counts["kept"] += 1
            yield text
        if counts["kept"] == limit:
            break
