"""Texts into tokens, a bounded amount at a time: a long text keeps all cores busy, and a signal is heard between.

The tokenizers library takes a text in one go, on one core, and Python hears no signal until it returns. Long texts are
therefore cut into pieces, at places where that changes no token.
"""

from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

PIECE = 250_000
"""Characters of a piece, at least: a quarter of a second's work."""
AT_ONCE = 4 * PIECE
"""Characters that are tokenized together, about."""
WINDOW = 200
"""Characters on each side of a cut that are tokenized together and apart, to see that it changes nothing."""
TRIES = 50
"""Places that are tried for a cut; where none will do, the text stays whole from there on."""


def encode_all(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[list[int]]:
    """The tokens of each text, without special ones."""
    ids: list[int] = []
    for batch in _batches(tokenizer, texts):
        encodings = tokenizer.encode_batch_fast([part for part, _ in batch], add_special_tokens=False)
        for encoding, (_, last) in zip(encodings, batch, strict=True):
            ids += encoding.ids
            if last:
                yield ids
                ids = []


def _batches(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[list[tuple[str, bool]]]:
    """Pieces that are tokenized together, each with whether it is its text's last."""
    batch: list[tuple[str, bool]] = []
    size = 0
    for text in texts:
        parts = list(pieces(tokenizer, text))
        for number, part in enumerate(parts, 1):
            batch.append((part, number == len(parts)))
            size += len(part)
            if size >= AT_ONCE:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def pieces(tokenizer: Tokenizer, text: str) -> Iterator[str]:
    """The text in pieces whose tokens, put in a row, are those of the text."""
    start = 0
    while len(text) - start > 2 * PIECE:
        cut = _cut(tokenizer, text, start + PIECE)
        if cut is None:
            break
        yield text[start:cut]
        start = cut
    yield text[start:]


def _cut(tokenizer: Tokenizer, text: str, place: int) -> int | None:
    """The first good place for a cut from `place` on: before a single space between two words."""
    for _ in range(TRIES):
        place = text.find(" ", place + 1, len(text) - 1)
        if place < 0:
            return None
        single = not text[place - 1].isspace() and not text[place + 1].isspace()
        around = text[max(place - WINDOW, 0) : place], text[place : place + WINDOW]
        if single and _changes_nothing(tokenizer, *around):
            return place
    return None


def _changes_nothing(tokenizer: Tokenizer, before: str, after: str) -> bool:
    whole, *apart = tokenizer.encode_batch_fast([before + after, before, after], add_special_tokens=False)
    return whole.ids == apart[0].ids + apart[1].ids
