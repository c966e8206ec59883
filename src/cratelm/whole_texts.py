"""Tokenizers of other programs, set to give every token of a text and nothing else."""

from tokenizers import Tokenizer
from tokenizers.models import BPE


def keep_whole(tokenizer: Tokenizer) -> Tokenizer:
    """Switch off what a tokenizer.json may do to a text to fit it into a batch, or to vary it in training.

    Truncation cuts a text, padding adds tokens that are none of its own, and BPE dropout (Provilkov et al., 2020)
    skips merges at random, so that each reading gives other tokens.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.model, BPE):
        tokenizer.model.dropout = None
    return tokenizer
