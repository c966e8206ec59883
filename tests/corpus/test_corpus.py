"""Documents, sides, tokens, contexts and windows."""

import json
import pickle
import resource
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cratelm.artifacts import Artifact
from cratelm.corpus.config import SIDES, CorpusConfig
from cratelm.corpus.contexts import cut_contexts, equal_batches
from cratelm.corpus.ngrams import probabilities
from cratelm.corpus.read_tokens import Side, read_side, read_tokenizer, read_train
from cratelm.corpus.split import HELD_OUT, side_of, split_held_out
from cratelm.corpus.token_text import token_bytes, token_texts
from cratelm.corpus.tokenizer import END_OF_TEXT, train_bpe
from cratelm.corpus.tokens import tokenize
from cratelm.corpus.train_tokens import TrainTokens
from cratelm.corpus.training_windows import Windows, permute
from cratelm.errors import InputError
from tests.conftest import read_documents, sentences

HELD_OUT_SIDES = [side for side in SIDES if side != "train"]


def test_the_packaged_reviews_are_24904_distinct_documents() -> None:
    documents, counts = read_documents("reviews")
    assert counts == {"read": 25000, "empty": 0, "duplicate": 96, "invalid_utf8": 0, "kept": 24904}
    assert len(set(documents)) == 24904
    assert not any("<br />" in text for text in documents)


def test_blank_lines_separate_the_documents_of_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\nline two\n\n\n \nsecond\n\none\nline two\n")
    documents, counts = read_documents(str(path))
    assert documents == ["one\nline two", "second"]
    assert counts["duplicate"] == 1


def test_each_text_file_of_a_folder_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two\n\nstill two")
    (tmp_path / "a.txt").write_text("one")
    assert read_documents(str(tmp_path))[0] == ["one", "two\n\nstill two"]


def test_invalid_utf8_is_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 is broken\n\nfine")
    documents, counts = read_documents(str(tmp_path / "a.txt"))
    assert documents == ["caf\ufffd is broken", "fine"]
    assert counts["invalid_utf8"] == 1


def test_half_a_surrogate_pair_in_json_is_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud800 x"}\n')
    documents, counts = read_documents(str(tmp_path / "a.jsonl"))
    assert documents == ["? x"]
    assert counts["invalid_utf8"] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"text": "a"}\n{"text": \n', "line 2: not JSON"),
        ('{"text": "a"}\n{"body": "b"}\n', "line 2: no field `text`"),
        ('{"text": 3}\n', "line 1: no field `text`"),
        ("[1]\n", "line 1: no field `text`"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(lines)
    with pytest.raises(InputError, match=message):
        read_documents(str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("lines", ['{"text": "  "}\n', ""])
def test_a_corpus_without_text_is_refused(tmp_path: Path, lines: str, quiet) -> None:
    (tmp_path / "a.jsonl").write_text(lines)
    with pytest.raises(InputError, match="holds no text"):
        tokenize(CorpusConfig(corpus=str(tmp_path / "a.jsonl")), tmp_path / "tokens", quiet)


@pytest.mark.parametrize(
    ("name", "message"), [("none.txt", "no such file"), ("a.pdf", "a corpus is a folder or a file of .txt")]
)
def test_what_is_no_corpus_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(InputError, match=message):
        read_documents(str(tmp_path / name))


@given(st.text(min_size=1))
def test_a_documents_side_depends_on_its_text_alone(text: str) -> None:
    side = side_of(text, CorpusConfig())
    assert side in ("train", "validation", HELD_OUT)
    assert side == side_of(text, CorpusConfig(corpus="elsewhere.txt", documents=7))


def test_the_sides_get_about_their_shares() -> None:
    config = CorpusConfig(validation_share=0.1, explain_share=0.2, score_share=0.3)
    texts = [f"document {number}" for number in range(20_000)]
    sides, _, counts = split_held_out([(side_of(text, config), text) for text in texts], config)
    shares = [len(sides[side]) / 20_000 for side in ("validation", "explain", "score")]
    assert counts["near_duplicate_groups"] == 0
    assert shares == pytest.approx([0.1, 0.2, 0.3], abs=0.015)  # four standard errors


@given(st.text())
def test_every_text_comes_back_from_its_tokens(text: str) -> None:
    tokenizer = train_bpe(["some text to learn from, some more text to learn"] * 3, 270)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    data = token_bytes(tokenizer)
    assert b"".join(data[index] for index in ids) == text.encode()


def test_a_literal_end_of_text_is_no_boundary(tmp_path: Path, quiet) -> None:
    lines = [f"{text} and then {END_OF_TEXT} and goes on" for text in sentences(60)]
    (tmp_path / "a.txt").write_text("\n\n".join(lines))
    shares = {"validation_share": 0.2, "explain_share": 0.2, "score_share": 0.2}
    config = CorpusConfig(corpus=str(tmp_path / "a.txt"), tokenizer="bpe:280", **shares)
    made = tokenize(config, tmp_path / "tokens", quiet)
    end_of_text = read_tokenizer(made).token_to_id(END_OF_TEXT)
    for name in HELD_OUT_SIDES:
        side = read_side(made, name)
        assert np.flatnonzero(side.tokens == end_of_text).tolist() == (side.ends - 1).tolist()
    train, documents = (
        read_train(made),
        json.loads((made.path / "counts.json").read_text())["sides"]["train"]["documents"],
    )
    assert np.count_nonzero(train[: len(train)] == end_of_text) == documents


def test_bytes_that_are_no_character_are_shown_in_hexadecimal() -> None:
    texts = token_texts(train_bpe(["abc abc abc"], 258))
    assert "<FF>" in texts
    assert "a" in texts


def test_the_files_count_what_the_documents_hold(tokens: Artifact) -> None:
    counts = json.loads((tokens.path / "counts.json").read_text())["sides"]
    assert counts["train"]["tokens"] == len(read_train(tokens))
    for name in HELD_OUT_SIDES:
        side = read_side(tokens, name)
        assert counts[name]["tokens"] == len(side.tokens) == side.ends[-1]
        assert counts[name]["documents"] == len(side.ends)


def test_too_little_text_for_a_side_is_said(tmp_path: Path, quiet) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(["one", "two", "three", "four"]))
    config = CorpusConfig(corpus=str(tmp_path / "a.txt"), tokenizer="gpt2")
    said = r"none of 4 documents fell on the explain side.*blank line separates documents.*--explain-share 0\.4"
    with pytest.raises(InputError, match=said):
        tokenize(config, tmp_path / "tokens", quiet)
    with pytest.raises(InputError, match=rf"give the new folder as the text: cratelm tokenize {tmp_path}/a\.txt"):
        tokenize(config, tmp_path / "tokens", quiet, needed=("explain",))


@pytest.mark.parametrize(("name", "advised"), [("a.txt", True), ("a.jsonl", False)])
def test_a_text_whose_lines_are_one_document_is_told_how_to_separate_them(name, advised, tmp_path, quiet) -> None:
    lines = "\n".join(f"Sentence number {number}." for number in range(50))
    (tmp_path / name).write_text(lines if advised else json.dumps({"text": lines}))
    with pytest.raises(InputError, match="holds 1 document, and 4 are needed at least: one for each of train") as said:
        tokenize(CorpusConfig(corpus=str(tmp_path / name)), tmp_path / "tokens", quiet)
    assert ("In a .txt file, a blank line separates documents." in str(said.value)) == advised


def test_a_side_that_is_not_needed_may_be_empty_until_it_is_read(tmp_path: Path, quiet) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(f"document {number}" for number in range(40)))
    shares = {"validation_share": 1e-6, "explain_share": 0.5, "score_share": 0.49}
    config = CorpusConfig(corpus=str(tmp_path / "a.txt"), tokenizer="gpt2", **shares)
    made = tokenize(config, tmp_path / "tokens", quiet, needed=("explain", "score"))
    assert sum(len(read_side(made, side).ends) for side in ("explain", "score")) > 30
    with pytest.raises(InputError, match=r"has no document on the validation side\. Tokenize with larger shares"):
        read_side(made, "validation")


def side_with(lengths: list[int]) -> Side:
    """Documents of so many tokens, each token its own place."""
    ends = np.cumsum([length + 1 for length in lengths])
    return Side(np.arange(ends[-1]), ends)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(1, 5), st.sampled_from([1, 2, 4, 8]))
def test_contexts_tile_each_document_and_what_is_left_is_counted(lengths, pieces, multiple) -> None:
    side = side_with(lengths)
    contexts = cut_contexts(side, pieces * multiple, multiple)
    covered = [
        place
        for start, length in zip(contexts.start, contexts.length, strict=True)
        for place in range(start, start + length)
    ]
    expected = []
    for length, end in zip(lengths, side.ends, strict=True):
        first = end - 1 - length
        expected += range(first, first + length // multiple * multiple)
    assert covered == expected
    assert contexts.dropped == sum(length % multiple for length in lengths)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 7))
def test_batches_hold_every_context_once_and_one_length_each(lengths, size) -> None:
    contexts = cut_contexts(side_with(lengths), 8)
    batches = list(equal_batches(contexts, size))
    assert sorted(np.concatenate(batches)) == list(range(len(contexts.start)))
    assert all(len(set(contexts.length[batch])) == 1 and len(batch) <= size for batch in batches)


@given(st.integers(1, 600), st.text(max_size=5))
def test_the_order_is_a_bijection(size: int, key: str) -> None:
    assert sorted(permute(index, size, key) for index in range(size)) == list(range(size))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(permute(index, 100, key) for index in range(100)) for key in ("0/0", "0/1", "1/0")}
    assert len(orders) == 3


def train_tokens(folder: Path, lengths: list[int]) -> TrainTokens:
    """Shards of so many tokens, each token its own place."""
    files, place = [], 0
    for number, length in enumerate(lengths):
        files.append(folder / f"{number}.ds")
        np.arange(place, place + length, dtype="<u2").tofile(files[-1])
        place += length
    return TrainTokens(files, lengths, vocabulary=place)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.data())
def test_a_slice_of_shards_is_that_of_their_tokens_in_a_row(tmp_path_factory, lengths, data) -> None:
    tokens = train_tokens(tmp_path_factory.mktemp("shards"), lengths)
    start = data.draw(st.integers(0, sum(lengths) - 1))
    stop = data.draw(st.integers(start + 1, sum(lengths)))
    for read in (tokens, pickle.loads(pickle.dumps(tokens))):
        assert read[start:stop].tolist() == list(range(start, stop))


def test_reading_windows_of_a_large_side_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "0.ds"
    np.zeros(100_000_000, dtype="<u2").tofile(file)
    windows = Windows(TrainTokens([file], [100_000_000], 2), context=1024, total=10**6, seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range(20_000):
        windows[index]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB; the file is 200 MB


def test_a_window_is_consecutive_tokens_and_their_successors(tmp_path: Path) -> None:
    windows = Windows(train_tokens(tmp_path, [30, 1, 70]), context=10, total=30, seed=3)
    starts = []
    for index in range(30):
        sample = windows[index]
        start = int(sample["input_ids"][0])
        assert sample["input_ids"].tolist() == list(range(start, start + 10))
        assert sample["shift_labels"].tolist() == list(range(start + 1, start + 11))
        starts.append(start)
    for epoch in range(3):
        assert sorted(starts[epoch * 10 : epoch * 10 + 10]) == list(range(0, 100, 10))


def test_near_duplicates_are_never_on_both_sides_of_a_score() -> None:
    generator = np.random.default_rng(0)
    words = [f"word{number}" for number in range(400)]
    originals = [" ".join(generator.choice(words, 60)) for _ in range(300)]
    copies = [f"{text} and {number} more words behind it" for number, text in enumerate(originals)]
    config = CorpusConfig(validation_share=0.01, explain_share=0.4, score_share=0.4)
    sides, _, counts = split_held_out([(side_of(text, config), text) for text in [*originals, *copies]], config)
    explained = {" ".join(text.split()[:60]) for text in sides["explain"]}
    scored = {" ".join(text.split()[:60]) for text in sides["score"]}
    assert counts["near_duplicate_groups"] > 100
    assert explained and scored
    assert not explained & scored


def test_the_documents_of_a_side_know_their_near_duplicates(tmp_path: Path, quiet) -> None:
    generator = np.random.default_rng(0)
    originals = [" ".join(generator.choice(list("abcdefghijkl"), 60)) for _ in range(40)]
    texts = [f"{text} {number}" for text in originals for number in range(6)]
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "texts" / f"{number:03d}.txt").write_text(text)
    config = CorpusConfig(corpus=str(tmp_path / "texts"), tokenizer="gpt2", explain_share=0.4, score_share=0.4)
    made = tokenize(config, tmp_path / "tokens", quiet)
    for name in ("explain", "score"):
        side, tokenizer = read_side(made, name), read_tokenizer(made)
        starts = np.r_[0, side.ends[:-1]]
        original = [tokenizer.decode(side.tokens[a : b - 1])[:119] for a, b in zip(starts, side.ends, strict=True)]
        assert 1 < len(set(original)) < len(original)
        for one, group in zip(original, side.group, strict=True):
            assert {g for o, g in zip(original, side.group, strict=True) if o == one} == {group}
        assert len(set(side.group)) == len(set(original))
        assert np.array_equal(side.first(3).group, side.group[:3])
    (made.path / "score.ds.groups").unlink()
    with pytest.raises(InputError, match=r"score\.ds\.groups is missing: .*Tokenize again"):
        read_side(made, "score")


def kneser_ney(counts: Counter, before: tuple[int, ...], token: int, vocabulary: int) -> float:
    """By the formula, in dictionaries: a shorter n-gram counts once for each that ends in it."""
    once, twice = (sum(count == number for count in counts.values()) for number in (1, 2))
    discount = once / (once + 2 * twice) if once else 0.5
    shorter = Counter(gram[1:] for gram in counts)
    lower = kneser_ney(shorter, before[1:], token, vocabulary) if before else 1 / vocabulary
    behind = {gram: count for gram, count in counts.items() if gram[:-1] == before}
    if not behind:
        return lower
    return (max(counts[*before, token] - discount, 0) + discount * len(behind) * lower) / sum(behind.values())


SOME_TEXT = st.lists(st.integers(0, 4), min_size=4, max_size=60)


@given(SOME_TEXT, st.tuples(*[st.integers(0, 5)] * 3), st.integers(1, 3))
def test_what_n_grams_say_is_kneser_neys_formula(train, last, order) -> None:
    grams = Counter(zip(*(train[start:] for start in range(order)), strict=False))
    expected = kneser_ney(grams, last[3 - order : 2], last[2], 6)
    assert probabilities(np.array(train), np.array(last), 6, order) == pytest.approx([expected])


@given(SOME_TEXT, st.integers(0, 5), st.integers(0, 5), st.integers(1, 3))
def test_the_probabilities_of_what_comes_next_sum_up_to_one_at_every_order(train, first, second, order) -> None:
    every = [probabilities(np.array(train), np.array([first, second, last]), 6, order)[0] for last in range(6)]
    assert sum(every) == pytest.approx(1)
