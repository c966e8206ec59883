"""A long text is cut for the tokenizer's sake alone: its tokens are those of the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Prepend

from cratelm.corpus import encoding
from cratelm.corpus.encoding import encode_all, pieces
from cratelm.corpus.tokenizer import gpt2_tokenizer, train_bpe

WORDS = st.sampled_from(["film", "watched", "it's", "a", "1984", "…", "naïve", "東京", "the", "\u0301x"])
SPACES = st.sampled_from([" ", "  ", "\n", " \n", "\t", "\u00a0", "   "])
TEXTS = st.lists(st.tuples(WORDS, SPACES), min_size=1, max_size=120).map(lambda parts: "".join(map("".join, parts)))


@pytest.fixture(scope="module", params=["gpt2", "own"])
def tokenizer(request) -> Tokenizer:
    if request.param == "gpt2":
        return gpt2_tokenizer()
    return train_bpe(["the film that I watched was the film of 1984"] * 40, 270)


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch) -> None:
    monkeypatch.setattr(encoding, "PIECE", 40)
    monkeypatch.setattr(encoding, "AT_ONCE", 100)


@given(st.lists(TEXTS, max_size=5))
def test_the_tokens_of_pieces_are_those_of_whole_texts(tokenizer: Tokenizer, texts: list[str]) -> None:
    expected = [one.ids for one in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    assert list(encode_all(tokenizer, texts)) == expected


def test_a_long_text_is_cut(tokenizer: Tokenizer) -> None:
    text = "a film that I watched " * 40
    assert len(list(pieces(tokenizer, text))) > 10 and "".join(pieces(tokenizer, text)) == text


def test_a_text_without_a_good_place_for_a_cut_stays_whole(tokenizer: Tokenizer) -> None:
    assert list(pieces(tokenizer, "film" * 100)) == ["film" * 100]


def test_a_tokenizer_that_puts_something_before_every_text_gets_no_pieces() -> None:
    tokenizer = Tokenizer(BPE(vocab={"!": 0, "a": 1, " ": 2}, merges=[]))
    tokenizer.normalizer = Prepend("!")
    text = "a a " * 50
    assert list(pieces(tokenizer, text)) == [text]
    assert list(encode_all(tokenizer, [text])) == [tokenizer.encode(text).ids]
