"""What a token stands for, for every kind of tokenizer: against the tokenizer's own decoding of whole texts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from cratelm.artifacts import read_json, write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.read_tokens import read_side, read_tokenizer, read_train
from cratelm.corpus.token_text import byte_lengths, token_bytes, token_texts
from cratelm.corpus.tokenizer import as_text_only, end_of_text_id, make_tokenizer
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError
from tests.conftest import sentences
from tests.foreign_tokenizers import BYTES, byte_level, sentencepiece_bpe, unigram, without_bytes, word_ends, wordpiece

TEXTS = [*sentences(200), "the café  in 漢字, with   many    spaces", "naïve 🎬 films\n\tand tabs"]
KINDS: dict[str, Callable[[], Tokenizer]] = {
    "pythia": lambda: byte_level(TEXTS, "<|endoftext|>", spaces=20),
    "llama": lambda: sentencepiece_bpe(TEXTS),
    "gemma": lambda: sentencepiece_bpe(TEXTS, "<bos>", "<eos>", prefix=False),
    "unigram": lambda: unigram(TEXTS),
    "bert": lambda: wordpiece(TEXTS),
    "gpt-1": lambda: word_ends(TEXTS),
}
PROBE = "The film was bad,  very bad: the plot."


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return as_text_only(KINDS[request.param]())


def test_the_tokens_of_a_text_put_in_a_row_are_what_the_tokenizer_decodes(tokenizer: Tokenizer) -> None:
    texts = token_texts(tokenizer)
    for text in (PROBE, *TEXTS[:20]):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        # A decoder that joins words puts a space before the token for unknown words too, which is no text.
        joined = "".join(texts[number] for number in ids).strip()
        assert (
            joined.replace(" <unk>", "<unk>") == decoded.replace(" [UNK]", "[UNK]").replace(" <unk>", "<unk>").strip()
        )


@pytest.mark.parametrize("kind", ["pythia", "llama", "gemma"])
def test_pieces_of_characters_are_their_bytes(kind: str) -> None:
    tokenizer = as_text_only(KINDS[kind]())
    text = "rare: ☃ 𝄞 Ω and 🦊"
    data = token_bytes(tokenizer)
    joined = b"".join(data[number] for number in tokenizer.encode(text, add_special_tokens=False).ids)
    assert joined.removeprefix(b" ") == text.encode()
    texts = token_texts(tokenizer)
    first = tokenizer.token_to_id("<0xF0>" if kind != "pythia" else "ð")
    assert (texts[first], data[first]) == ("<F0>", b"\xf0")


def test_a_byte_is_itself_where_others_have_no_token() -> None:
    tokenizer = as_text_only(without_bytes(KINDS["llama"](), BYTES[0xF8:]))
    data = token_bytes(tokenizer)
    joined = b"".join(data[number] for number in tokenizer.encode("☃ 🦊", add_special_tokens=False).ids)
    assert joined.decode() == " ☃ 🦊"
    assert token_texts(tokenizer)[tokenizer.token_to_id("<0xF0>")] == "<F0>"


@pytest.mark.parametrize(("kind", "begins", "inside"), [("llama", "▁", ""), ("unigram", "▁", ""), ("bert", "", "##")])
def test_a_word_keeps_the_space_before_it_and_a_piece_inside_a_word_has_none(kind, begins, inside) -> None:
    tokenizer = as_text_only(KINDS[kind]())
    texts, plain = token_texts(tokenizer), [name for name in tokenizer.get_vocab() if name[0] not in "<["]
    pieces = [name for name in plain if (name.startswith(inside) if inside else not name.startswith(begins))]
    assert min(len(pieces), len(plain) - len(pieces)) > 5
    for name in plain:
        text = name.removeprefix(inside) if name in pieces else f" {name.removeprefix(begins)}"
        assert texts[tokenizer.token_to_id(name)] == text.replace("▁", " ")


def test_special_tokens_are_their_names_and_no_text(tokenizer: Tokenizer) -> None:
    end = end_of_text_id(tokenizer)
    assert token_texts(tokenizer)[end] == tokenizer.id_to_token(end)
    assert byte_lengths(tokenizer)[end] == 0
    assert tokenizer.id_to_token(end) in ("<|endoftext|>", "</s>", "<eos>", "[SEP]", "<unk>")


def test_a_special_token_that_is_spelled_out_is_text(tokenizer: Tokenizer) -> None:
    if type(tokenizer.model) is Unigram:
        pytest.skip("a Unigram vocabulary reads its special tokens in a text, in every program that uses it")
    added = tokenizer.get_added_tokens_decoder()
    special = {number: token.content for number, token in added.items() if token.special}
    unknown = {number for number, name in special.items() if name in ("<unk>", "[UNK]")}
    for name in special.values():
        assert not set(tokenizer.encode(f"a {name} b{name}c", add_special_tokens=False).ids) & (set(special) - unknown)


def test_what_was_added_to_a_byte_level_vocabulary_is_text_as_it_is() -> None:
    tokenizer = as_text_only(KINDS["pythia"]())
    assert [token_texts(tokenizer)[tokenizer.token_to_id(" " * length)] for length in (2, 21)] == ["  ", " " * 21]


def with_many_ids(words: int) -> Tokenizer:
    """A token a word, the last of them with the highest id."""
    known = {word: number for number, word in enumerate(sorted({word for text in TEXTS for word in text.split()}))}
    others = {f"word{number}": number for number in range(len(known), words - 2)}
    tokenizer = Tokenizer(WordLevel(known | others | {"zebra": words - 2, "[UNK]": words - 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens(["[UNK]"])
    return tokenizer


@pytest.mark.parametrize(("words", "bits"), [(65_536, 16), (65_537, 32), (100_000, 32)])
def test_tokens_take_32_bits_only_where_16_do_not_hold_them(words: int, bits: int, tmp_path: Path, quiet) -> None:
    with_many_ids(words).save(str(tmp_path / "tokenizer.json"))
    texts = [f"{text} zebra" for text in TEXTS]
    (tmp_path / "text.txt").write_text("\n\n".join(texts), encoding="utf-8")
    shares = {"validation_share": 0.2, "explain_share": 0.2, "score_share": 0.2}
    config = CorpusConfig(str(tmp_path / "text.txt"), tokenizer=str(tmp_path / "tokenizer.json"), **shares)
    tokens = tokenize(config, tmp_path / "tokens", quiet)
    counts = read_json(tokens.path / "counts.json")
    assert counts["tokenizer"]["bits"] == bits
    made = counts["sides"]["score"]["tokens"]
    assert (tokens.path / "score.ds").stat().st_size == made * bits // 8
    tokenizer, train = read_tokenizer(tokens), read_train(tokens)
    for ids in (read_side(tokens, "score").tokens, train[0 : len(train)]):
        assert (np.asarray(ids) == words - 2).any()
        assert int(np.asarray(ids).max()) == words - 1  # [UNK] ends each document
    words_of = {tuple(text.split()) for text in texts}
    ends = read_side(tokens, "score").ends
    first = read_side(tokens, "score").tokens[: ends[0] - 1]
    assert tuple(tokenizer.id_to_token(int(number)) for number in first) in words_of
    if bits == 16:  # folders of before said nothing about bits
        del counts["tokenizer"]["bits"]
        write_json(tokens.path / "counts.json", counts)
        assert read_side(tokens, "score").tokens.dtype == np.uint16


def test_an_id_in_the_millions_of_holes_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "</s>": 2**24}, unk_token="a"))
    tokenizer.save(str(tmp_path / "holes.json"))
    with pytest.raises(InputError, match="a token with the id 16777216; the highest may be 16777215"):
        make_tokenizer(str(tmp_path / "holes.json"), [])
