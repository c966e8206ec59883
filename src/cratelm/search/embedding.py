"""Texts as vectors: the static embedding of WordLlama, whose weights come inside its package.

A text's vector is the mean of its tokens' vectors, which were distilled from the input embeddings of language models
(Miller, 2024, github.com/dleemiller/WordLlama; MIT). Nothing is downloaded, and no network is run.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cratelm.errors import InputError

if TYPE_CHECKING:
    from wordllama import WordLlamaInference

PACKAGE = "wordllama"
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> their vectors (texts, dimensions), of length 1; zeros for a text without tokens."""


def can_search() -> bool:
    """Whether the extra `search` is installed."""
    return find_spec(PACKAGE) is not None


def embed(texts: Sequence[str]) -> np.ndarray:
    """The vectors of some texts (texts, 256), of length 1; InputError where the extra `search` is not installed."""
    vectors = np.nan_to_num(np.asarray(_model().embed([text or " " for text in texts]), dtype=np.float64))
    return unit_length(vectors)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Each row divided by its length; a row of zeros as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


@cache
def _model() -> "WordLlamaInference":
    try:
        import wordllama
    except ImportError as error:
        raise InputError(
            "search by meaning needs the extra `search`: pip install -c constraints.txt '.[search]'"
        ) from error
    # Its own search for the tokenizer looks in a folder that its package does not have; the right one is next to it.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
