"""What each token of a vocabulary stands for: its bytes, and what a person reads."""

import json
import re
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from cratelm.corpus.tokenizer import END_OF_TEXT, count_ids

BYTE_NAMES = [f"<0x{byte:02X}>" for byte in range(256)]
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""How vocabularies after SentencePiece name a token that is one byte: `byte fallback`."""


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of text that each id stands for; none for special tokens and for ids that no token has.

    A byte-level vocabulary and byte fallback say the bytes themselves; of others they are the token's text, as the
    tokenizer decodes it after another token.
    """
    names, special = _names(tokenizer), _special(tokenizer)
    wanted = [number for number, name in enumerate(names) if name is not None and number not in special]
    data = [b""] * len(names)
    for number, text in zip(wanted, _texts(tokenizer, names, wanted), strict=True):
        data[number] = text
    return data


def byte_lengths(tokenizer: Tokenizer) -> np.ndarray:
    """How many bytes of text each id stands for: (V,) int64."""
    return np.array([len(data) for data in token_bytes(tokenizer)], dtype=np.int64)


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """Each id's token as a person reads it: its text, its bytes in hexadecimal where they are no whole characters.

    A special token is its name. An id that no token has is `<unused N>`.
    """
    named = zip(_names(tokenizer), token_bytes(tokenizer), strict=True)
    return [_readable(number, name, data) for number, (name, data) in enumerate(named)]


def _readable(number: int, name: str | None, data: bytes) -> str:
    if name is None:
        return f"<unused {number}>"
    try:
        return data.decode() or name
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in data)


def _names(tokenizer: Tokenizer) -> list[str | None]:
    """The vocabulary's name of each id, None where no token has it."""
    names: list[str | None] = [None] * count_ids(tokenizer)
    for name, number in tokenizer.get_vocab().items():
        names[number] = name
    return names


def _special(tokenizer: Tokenizer) -> set[int]:
    """The ids of tokens that no text is cut into."""
    added = tokenizer.get_added_tokens_decoder()
    special = {number for number, token in added.items() if token.special}
    return special | {number for number in (tokenizer.token_to_id(END_OF_TEXT),) if number is not None}


def _texts(tokenizer: Tokenizer, names: list[str | None], wanted: list[int]) -> list[bytes]:
    """The bytes of each of the ids that are wanted, all of which have a name."""
    added = set(tokenizer.get_added_tokens_decoder()) - set(tokenizer.get_vocab(with_added_tokens=False).values())
    if _is_byte_level(tokenizer):
        return [(names[number] or "").encode() if number in added else _unfolded(names[number]) for number in wanted]
    single = _mentions(_described(tokenizer.decoder), "ByteFallback") or set(BYTE_NAMES) <= set(names)
    decoded = [text.encode() for text in _decoded(tokenizer, wanted)]
    for place, number in enumerate(wanted):
        if single and (byte := BYTE.fullmatch(names[number] or "")):
            decoded[place] = bytes.fromhex(byte[1])
    return decoded


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether names are written in stand-ins of bytes: what cuts the text or puts it together says so."""
    return any(_mentions(_described(part), "ByteLevel") for part in (tokenizer.decoder, tokenizer.pre_tokenizer))


def _described(part: Any) -> Any:
    """A part of a tokenizer as its file has it; None where it has none."""
    return None if part is None else json.loads(part.__getstate__())


def _mentions(described: Any, kind: str) -> bool:
    """Whether a part of a tokenizer, or one that it consists of, is of a kind."""
    if isinstance(described, dict):
        return described.get("type") == kind or any(_mentions(value, kind) for value in described.values())
    return isinstance(described, list) and any(_mentions(value, kind) for value in described)


def _unfolded(name: str | None) -> bytes:
    """The bytes of a name that is written in stand-ins; a name with any other character is text as it is."""
    try:
        return bytes(BYTE_OF_CHARACTER[character] for character in name or "")
    except KeyError:
        return (name or "").encode()


def _byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins: a printable Latin-1 byte is itself, the others follow from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}


BYTE_OF_CHARACTER = _byte_of_character()


def _decoded(tokenizer: Tokenizer, wanted: list[int]) -> list[str]:
    """The text of each id after another token: alone, a decoder would take the space before it away.

    Where tokens say that a word ends, as in GPT-1's vocabulary, before another one: the space is after them.
    """
    anchor = _anchor(tokenizer, wanted)
    if anchor is None:
        return tokenizer.decode_batch([[number] for number in wanted], skip_special_tokens=False)
    beside = tokenizer.decode([anchor], skip_special_tokens=False)
    if _mentions(_described(tokenizer.decoder), "BPEDecoder"):
        pairs = tokenizer.decode_batch([[number, anchor] for number in wanted], skip_special_tokens=False)
        return [text.removesuffix(beside) for text in pairs]
    pairs = tokenizer.decode_batch([[anchor, number] for number in wanted], skip_special_tokens=False)
    return [text.removeprefix(beside) for text in pairs]


def _anchor(tokenizer: Tokenizer, wanted: list[int]) -> int | None:
    """A token that the text of another is read behind: the first that is a letter, or letters, of its own."""
    texts = tokenizer.decode_batch([[number] for number in wanted], skip_special_tokens=False)
    return next((number for number, text in zip(wanted, texts, strict=True) if text.isascii() and text.isalpha()), None)
