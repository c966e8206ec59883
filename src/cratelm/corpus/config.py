"""What the corpus stage can be told."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from cratelm.errors import InputError
from cratelm.ranges import Configuration, number, whole

SIDES = ("train", "validation", "explain", "score")


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Configuration):
    """Text in, tokens of four sides out."""

    corpus: str = dataclasses.field(default="reviews", kw_only=False)
    """`reviews` (25,000 film reviews), `python-source` (1,532 files of Python), `python-packages` (17,000 files of
    Python); a path: a .txt, .jsonl, .csv or .parquet file, the first three also compressed as .gz or .zst, or a folder
    of such files; or a data set of the hub, hub:OWNER/NAME[@REVISION][:PATTERN]. The hub is off unless
    HF_HUB_OFFLINE=0."""
    field: str = "text"
    """The field or column of a .jsonl, .csv or .parquet file that holds the text."""
    tokenizer: str = "bpe:4096"
    """`bpe:N`: a byte-level BPE of N tokens that is trained on the training text; `gpt2`: the 50,257 tokens of GPT-2;
    or the path of a tokenizer.json, or of a folder that holds one."""
    validation_share: Annotated[float, number(above=0, below=1)] = 0.02
    """Share of the documents on which the validation loss is measured."""
    explain_share: Annotated[float, number(above=0, below=1)] = 0.05
    """Share of the documents from which explanations are written."""
    score_share: Annotated[float, number(above=0, below=1)] = 0.05
    """Share of the documents on which explanations are scored."""
    documents: Annotated[int | None, whole(1)] = None
    """The most documents that are read, from the start of the corpus; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = (self.validation_share, self.explain_share, self.score_share)
        if sum(shares) >= 1:
            raise InputError(
                "the shares of the held-out sides must add to less than 1: "
                f"validation {shares[0]}, explain {shares[1]}, score {shares[2]}."
            )
        if self.tokenizer.startswith("bpe:"):
            vocabulary_size(self.tokenizer)


def vocabulary_size(tokenizer: str) -> int:
    """The N of `bpe:N`: at least the 256 bytes and the end-of-text token, at most what 16 bits can name.

    Raises InputError for any other name.
    """
    kind, _, size = tokenizer.partition(":")
    if kind != "bpe" or not size.isdecimal() or len(size) > 5 or not 257 <= int(size) <= 65536:
        raise InputError(f"unknown tokenizer {tokenizer!r}: give bpe:N with N from 257 to 65536, such as bpe:4096.")
    return int(size)
