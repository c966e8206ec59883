"""The tokenizer: a byte-level BPE, trained on the train side alone."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from cratelm.errors import InputError

END_OF_TEXT = "<|endoftext|>"


def train_bpe(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE with `size` tokens, the end-of-text token being number 0.

    Raises InputError where the text has too few different pairs for so many tokens.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=size, special_tokens=[END_OF_TEXT], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != size:
        raise InputError(
            f"the train side has text for {tokenizer.get_vocab_size()} tokens, not {size}. "
            f"Give more text, or --tokenizer bpe:{max(257, tokenizer.get_vocab_size() // 2)}."
        )
    return as_text_only(tokenizer)


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json."""
    return as_text_only(Tokenizer.from_file(str(path)))


def as_text_only(tokenizer: Tokenizer) -> Tokenizer:
    """Make a literal `<|endoftext|>` in a text plain characters, never a document boundary."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """The number of the end-of-text token; raises InputError where the vocabulary has none."""
    number = tokenizer.token_to_id(END_OF_TEXT)
    if number is None:
        raise InputError(f"the tokenizer has no token {END_OF_TEXT}, which marks where a document ends.")
    return number


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each token of a byte-level vocabulary stands for; none for the end-of-text token."""
    to_byte = _byte_of_character()
    vocabulary = tokenizer.get_vocab()
    names = sorted(vocabulary, key=vocabulary.__getitem__)
    return [b"" if name == END_OF_TEXT else bytes(to_byte[character] for character in name) for name in names]


def byte_lengths(tokenizer: Tokenizer) -> np.ndarray:
    """How many bytes of text each token stands for: (V,) int64."""
    return np.array([len(data) for data in token_bytes(tokenizer)], dtype=np.int64)


def _byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins: a printable Latin-1 byte is itself, the others follow from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """Each token as a person reads it: its text, its bytes in hexadecimal where they are no whole characters."""
    texts = []
    for data in token_bytes(tokenizer):
        try:
            texts.append(data.decode() if data else END_OF_TEXT)
        except UnicodeDecodeError:
            texts.append("".join(f"<{byte:02X}>" for byte in data))
    return texts
