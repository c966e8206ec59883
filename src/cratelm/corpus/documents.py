"""The documents of a corpus, each once. Whatever is left out or replaced is counted, never hidden."""

import hashlib
from collections import Counter
from collections.abc import Iterator

from cratelm.corpus.readers import Texts

COUNTED = ("read", "empty", "duplicate", "invalid_utf8", "kept")


def distinct_documents(texts: Texts, counts: Counter[str], limit: int | None = None) -> Iterator[str]:
    """The non-empty documents in their order, exact duplicates left out; `counts` is filled on the way.

    `limit` keeps the first so many documents. Memory grows by a hash of 16 bytes a document.
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
