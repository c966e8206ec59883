"""Groups of near-duplicates, and the halves that keep them whole."""

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.corpus import near_duplicates
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.near_duplicates import WORD, halves, near_duplicate_groups
from cratelm.corpus.split import side_of

# Pieces of few words, so that documents of several pieces often share half of their grams, or just not.
pieces = st.sampled_from(["a b", "a b c d e f g h", "B a, b a c", "d d d d d d d d d d", "e a g c", "h g f e d c b a"])
documents = st.one_of(
    st.lists(pieces, max_size=12).map(" ".join),
    st.lists(st.sampled_from("ab"), max_size=24).map(" ".join),
)
corpora = st.lists(documents, max_size=12)


def grams_of(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return {tuple(words[start : start + 8]) for start in range(max(1, len(words) - 7))}


def groups_by_sets(texts: Sequence[str]) -> list[int]:
    """The definition, pair by pair."""
    grams = [grams_of(text) for text in texts]
    groups = list(range(len(texts)))
    for left, right in combinations(range(len(texts)), 2):
        if 2 * len(grams[left] & grams[right]) >= min(len(grams[left]), len(grams[right])):
            low, high = sorted((groups[left], groups[right]))
            groups = [low if group == high else group for group in groups]
    return groups


def words(first: int, number: int) -> str:
    """So many words, each in no other place: `number` - 7 grams."""
    return " ".join(f"w{word}" for word in range(first, first + number))


@given(corpora, st.sampled_from([1, 50, near_duplicates.BLOCK]))
def test_the_groups_are_those_of_the_definition(texts: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "BLOCK", block)
        assert near_duplicate_groups(texts).tolist() == groups_by_sets(texts)


@pytest.mark.parametrize("seed", range(5))
def test_the_groups_are_those_of_the_definition_where_documents_share_many_passages(seed: int) -> None:
    draw = random.Random(seed)
    passages = [words(100 * number, draw.randrange(2, 30)) for number in range(60)]
    texts = [" ".join(draw.choices(passages, k=draw.randrange(1, 9))) for _ in range(150)]
    groups = near_duplicate_groups(texts).tolist()
    assert groups == groups_by_sets(texts)
    assert 1 < len(set(groups)) < len(texts)


@given(corpora, st.randoms(use_true_random=False))
def test_the_order_of_the_documents_changes_no_half_and_no_group(texts: list[str], draw: random.Random) -> None:
    order = draw.sample(range(len(texts)), len(texts))
    groups, shuffled = near_duplicate_groups(texts), near_duplicate_groups([texts[index] for index in order])
    assert np.array_equal(groups[order][:, None] == groups[order], shuffled[:, None] == shuffled)
    half = halves(texts, 1, 1)[0]
    assert halves([texts[index] for index in order], 1, 1)[0] == [half[index] for index in order]


@given(corpora, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_whole_group_is_on_one_half(texts: list[str], explain_share: float, score_share: float) -> None:
    half, _, counts = halves(texts, explain_share, score_share)
    groups = near_duplicate_groups(texts).tolist()
    assert set(half) <= {"explain", "score"}
    assert half == [half[group] for group in groups]
    alone = [groups.count(group) == 1 for group in groups]
    assert counts["groups"] == len(set(groups))
    assert counts["near_duplicate_documents"] == len(texts) - sum(alone)
    assert counts["near_duplicate_groups"] == len(set(groups)) - sum(alone)


@given(corpora)
def test_a_document_without_near_duplicates_depends_on_its_own_text_alone(texts: list[str]) -> None:
    half, groups = halves(texts, 1, 1)[0], near_duplicate_groups(texts).tolist()
    for index, text in enumerate(texts):
        if groups.count(groups[index]) == 1:
            assert halves([text], 1, 1)[0] == [half[index]]


def test_the_halves_of_held_out_documents_get_about_their_shares() -> None:
    config = CorpusConfig(explain_share=0.06, score_share=0.02)
    texts = [f"document {number}" for number in range(50_000)]
    texts = [text for text in texts if side_of(text, config) not in ("train", "validation")]
    half, _, counts = halves(texts, config.explain_share, config.score_share)
    assert counts == {"groups": len(texts), "near_duplicate_groups": 0, "near_duplicate_documents": 0}
    assert half.count("explain") / len(texts) == pytest.approx(0.75, abs=0.03)  # four standard errors


def test_half_of_the_shorter_ones_grams_are_enough_and_one_gram_less_is_not() -> None:
    shorter = words(0, 17)  # 10 grams
    assert near_duplicate_groups([shorter, words(5, 100)]).tolist() == [0, 0]  # 5 of them
    assert near_duplicate_groups([shorter, words(6, 100)]).tolist() == [0, 1]


def test_a_document_and_a_much_longer_one_that_contains_it_are_near_duplicates() -> None:
    assert near_duplicate_groups([words(0, 2000), words(5000, 90), words(700, 9)]).tolist() == [0, 1, 0]


def test_a_chain_of_near_duplicates_is_one_group() -> None:
    texts = [words(0, 27), words(100, 27), words(20, 27), words(10, 27)]
    assert near_duplicate_groups(texts).tolist() == [0, 1, 0, 0]


def test_case_and_space_make_no_difference_and_punctuation_does() -> None:
    texts = ["It is GOOD.", "it\n is good .", "it is good", "IT is good"]
    assert near_duplicate_groups(texts).tolist() == [0, 0, 2, 2]


def test_short_documents_are_near_duplicates_where_all_their_words_are_the_same() -> None:
    texts = ["a b c", "a b c d", "a b c d e f g h", "a b c", "b c", ""]
    assert near_duplicate_groups(texts).tolist() == [0, 1, 2, 0, 4, 5]


def test_no_documents_have_no_groups() -> None:
    groups = near_duplicate_groups([])
    assert groups.shape == (0,)
    assert groups.dtype == np.int64
    no_groups = {"groups": 0, "near_duplicate_groups": 0, "near_duplicate_documents": 0}
    assert halves([], 1, 1) == ([], [], no_groups)


@given(documents, st.integers(1, 20))
def test_identical_documents_are_one_group(text: str, number: int) -> None:
    assert near_duplicate_groups([text] * number).tolist() == [0] * number


def test_boilerplate_in_the_lesser_part_of_many_documents_makes_no_group() -> None:
    texts = [words(0, 107) + " " + words(1000 * number, 120) for number in range(1, 3001)]
    assert near_duplicate_groups(texts).tolist() == list(range(3000))


def test_boilerplate_in_the_greater_part_of_many_documents_makes_one_group_without_a_comparison_of_all_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = 0
    join = near_duplicates._join

    def count(grams, groups, left, right) -> np.ndarray:
        nonlocal found
        found += len(left)
        return join(grams, groups, left, right)

    monkeypatch.setattr(near_duplicates, "_join", count)
    quotes = [words(start, 12) + " " + words(5000 + 10 * start, 60) for start in range(0, 100, 10)]
    texts = quotes + [words(0, 120) + " " + words(10_000 + 1000 * number, 60) for number in range(2000)]
    assert near_duplicate_groups(texts).tolist() == [*range(10), *[10] * 2000]
    assert 2000 < found < 2000**2 / 10


def test_the_last_of_50000_documents_are_compared_too() -> None:
    texts = [f"document {number}" for number in range(49_999)] + ["document 49998"]
    assert near_duplicate_groups(texts)[-3:].tolist() == [49_997, 49_998, 49_998]
