"""Tokens into files: `NAME.ds` and `NAME.ds.index`, datatrove's format."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cratelm.corpus.encoding import encode_all
from cratelm.corpus.tokenizer import count_ids, end_of_text_id
from cratelm.corpus.train_tokens import token_type


def write_side(name: Path, texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Write documents; gives their number, and how many tokens (ends included) and bytes of text they are."""
    end_of_text, kind = end_of_text_id(tokenizer), token_type(count_ids(tokenizer))
    lengths: list[int] = []
    size = 0

    def measured() -> Iterator[str]:
        nonlocal size
        for text in texts:
            size += len(text.encode())
            yield text

    with name.with_suffix(".ds").open("wb") as file:
        for ids in encode_all(tokenizer, measured()):
            file.write(np.array([*ids, end_of_text], dtype=kind).tobytes())
            lengths.append(len(ids) + 1)
    np.cumsum(lengths, dtype="<u8").tofile(name.with_suffix(".ds.index"))
    return {"documents": len(lengths), "tokens": sum(lengths), "bytes": size}
