"""Tokens into files: `NAME.ds` and `NAME.ds.index`, datatrove's format."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cratelm.corpus.tokenizer import end_of_text_id

BATCH = 1000
"""Documents that are tokenized together."""


def write_side(name: Path, texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Write documents; gives their number, and how many tokens (ends included) and bytes of text they are."""
    end_of_text = end_of_text_id(tokenizer)
    lengths: list[int] = []
    size = 0
    with name.with_suffix(".ds").open("wb") as file:
        remaining = iter(texts)
        while batch := list(islice(remaining, BATCH)):
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                file.write(np.array([*encoding.ids, end_of_text], dtype="<u2").tobytes())
                lengths.append(len(encoding.ids) + 1)
            size += sum(len(text.encode()) for text in batch)
    np.cumsum(lengths, dtype="<u8").tofile(name.with_suffix(".ds.index"))
    return {"documents": len(lengths), "tokens": sum(lengths), "bytes": size}
