"""Files and tokenizers as other programs write them: nothing is cut, added, mislabelled or misread in silence."""

import codecs
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from cratelm.cli import run
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.read_tokens import read_side
from cratelm.corpus.token_text import byte_lengths, token_texts
from cratelm.corpus.tokenizer import END_OF_TEXT, count_ids, make_tokenizer, train_bpe
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError
from cratelm.llm.local import LocalModel
from cratelm.records.config import RecordConfig
from cratelm.records.recording import Recording
from cratelm.training.evaluate_texts import open_language_model
from cratelm.training.text_losses import encode
from tests.conftest import read_documents, sentences

TEXTS = ["first", "\ufeffmarked inside its field", "third: é 漢字"]


def marked(kind: str) -> bytes:
    """Two documents in a file that begins with a byte-order mark."""
    if kind == ".txt":
        text = "first\n\nsecond"
    elif kind == ".jsonl":
        text = "".join(json.dumps({"text": text}) + "\n" for text in ("first", "second"))
    else:
        table = io.StringIO()
        csv.writer(table).writerows([["text", "id"], ["first", 1], ["second", 2]])
        text = table.getvalue()
    return codecs.BOM_UTF8 + text.encode()


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_a_byte_order_mark_is_no_part_of_the_text(kind: str, packed: str, tmp_path: Path) -> None:
    compress = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(packed, bytes)
    (tmp_path / f"a{kind}{packed}").write_bytes(compress(marked(kind)))
    documents, counts = read_documents(str(tmp_path / f"a{kind}{packed}"))
    assert documents == ["first", "second"]
    assert counts["invalid_utf8"] == 0


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_a_text_file_of_a_folder_loses_its_byte_order_mark_too(packed: str, tmp_path: Path) -> None:
    compress = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(packed, bytes)
    (tmp_path / f"a.txt{packed}").write_bytes(compress(marked(".txt")))
    assert read_documents(str(tmp_path))[0] == ["first\n\nsecond"]


def test_only_the_first_byte_order_mark_is_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    assert read_documents(str(tmp_path / "a.jsonl"))[0] == TEXTS


def parquet(path: Path, column: Any) -> str:
    """A file with one column `text`."""
    pq.write_table(pa.table({"text": column}), path)
    return str(path)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([["a", "b"], ["c"]]), "list<element: string>"),
        (pa.array([1, 2]), "int64"),
        (pa.array([b"a", b"b"]), "binary"),
        (pa.array([{"a": "b"}]), "struct<a: string>"),
        (pa.array([b"a", b"b"]).dictionary_encode(), "dictionary<values=binary, indices=int32, ordered=0>"),
    ],
)
def test_a_parquet_column_of_anything_but_strings_is_refused_by_its_type(column, kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_documents(parquet(tmp_path / "a.parquet", column))
    assert f"the column `text` holds {kind}, not strings" in str(caught.value)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), "dictionary"])
def test_every_kind_of_strings_in_parquet_is_read(kind, tmp_path: Path) -> None:
    texts = [*TEXTS, None, "last"]
    column = pa.array(texts).dictionary_encode() if kind == "dictionary" else pa.array(texts, kind)
    documents, counts = read_documents(parquet(tmp_path / "a.parquet", column))
    assert documents == [*TEXTS, "last"]
    assert counts["empty"] == 1


@pytest.mark.parametrize("encoded", [False, True])
def test_invalid_utf8_in_parquet_is_replaced_and_counted(encoded: bool, tmp_path: Path) -> None:
    column = pa.array([b"caf\xe9 is broken", b"fine"]).view(pa.string())
    path = parquet(tmp_path / "a.parquet", column.dictionary_encode() if encoded else column)
    documents, counts = read_documents(path)
    assert documents == ["caf\ufffd is broken", "fine"]
    assert counts["invalid_utf8"] == 1


def described(tokenizer: Tokenizer) -> dict[str, Any]:
    """What its tokenizer.json says."""
    return json.loads(tokenizer.to_str())


def saved(path: Path, description: dict[str, Any]) -> str:
    """A tokenizer.json that says this."""
    path.write_text(json.dumps(description))
    return str(path)


@pytest.fixture(scope="module")
def plain() -> Tokenizer:
    """A byte-level BPE of 300 tokens."""
    return train_bpe(sentences(60), 300)


def for_training(plain: Tokenizer) -> dict[str, Any]:
    """The same tokenizer as a program saves it that was cutting, padding and varying text when it did."""
    description = described(plain)
    description["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    description["padding"] = {
        "strategy": {"Fixed": 50},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 5,
        "pad_type_id": 0,
        "pad_token": "$",
    }
    description["model"]["dropout"] = 0.5
    return description


def test_truncation_padding_and_dropout_of_a_tokenizer_are_switched_off(plain, tmp_path: Path, quiet) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(sentences(80)))
    sides = {}
    for name, description in (("plain", described(plain)), ("training", for_training(plain))):
        path = saved(tmp_path / f"{name}.json", description)
        shares = {"validation_share": 0.2, "explain_share": 0.2, "score_share": 0.2}
        config = CorpusConfig(corpus=str(tmp_path / "a.txt"), tokenizer=path, **shares)
        sides[name] = read_side(tokenize(config, tmp_path / f"tokens-{name}", quiet), "score")
    assert np.array_equal(sides["plain"].tokens, sides["training"].tokens)
    assert np.array_equal(sides["plain"].ends, sides["training"].ends)


def test_a_model_is_evaluated_and_judges_on_whole_texts(plain, tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=300)).save_pretrained(tmp_path)
    saved(tmp_path / "tokenizer.json", for_training(plain))
    # Without it, transformers would build GPT-2's tokenizer anew from the vocabulary, and lose the settings.
    saved(tmp_path / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    text = sentences(1)[0]
    expected = plain.encode(text).ids
    _, tokenizer = open_language_model(tmp_path)
    assert encode(tokenizer, [text], 300).tokens[0].tolist()[-len(expected) :] == expected
    assert list(LocalModel(tmp_path).tokenizer(text)["input_ids"]) == expected


def with_ids(plain: Tokenizer, first: int, moved: int) -> dict[str, Any]:
    """The tokenizer with ids from `first` on moved up, which leaves a hole."""
    description = described(plain)
    vocabulary = description["model"]["vocab"]
    description["model"]["vocab"] = {name: number + moved * (number >= first) for name, number in vocabulary.items()}
    return description


def test_a_vocabulary_with_holes_has_the_size_of_its_highest_id_and_names_by_id(plain, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(saved(tmp_path / "holes.json", with_ids(plain, 290, 40)), [])
    assert count_ids(tokenizer) == 340
    texts, before = token_texts(tokenizer), token_texts(plain)
    assert texts[:290] == before[:290]
    assert texts[330:] == before[290:]
    assert texts[290:330] == [f"<unused {number}>" for number in range(290, 330)]
    assert texts.count(END_OF_TEXT) == 1
    assert byte_lengths(tokenizer)[290:330].sum() == 0


def test_tokens_of_a_vocabulary_with_holes_are_read_back(plain, tmp_path: Path, quiet) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(sentences(80)))
    path = saved(tmp_path / "holes.json", with_ids(plain, 270, 5000))
    shares = {"validation_share": 0.2, "explain_share": 0.2, "score_share": 0.2}
    made = tokenize(CorpusConfig(str(tmp_path / "a.txt"), tokenizer=path, **shares), tmp_path / "tokens", quiet)
    assert read_side(made, "score").tokens.max() >= 5270
    assert json.loads((made.path / "counts.json").read_text())["tokenizer"]["vocabulary"] == 5300
    assert Recording(RecordConfig(), tmp_path, made).vocabulary == 5300


def test_an_added_token_that_would_get_another_id_than_its_file_says_is_refused(plain, tmp_path: Path) -> None:
    description = described(plain)
    description["added_tokens"].append({**description["added_tokens"][0], "content": "!!", "id": 400})
    with pytest.raises(InputError, match="gives the added token !! the id 400, but it would be read as 300"):
        make_tokenizer(saved(tmp_path / "added.json", description), [])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\r\rtwo\rtwo\r\rthree\r", ["one", "two\rtwo", "three"]),
        (b"one\r\n\r\ntwo\r\ntwo\r\n", ["one", "two\r\ntwo"]),
        (b"one\r\r\ntwo\r\r\n\nthree", ["one\r\r\ntwo", "three"]),  # two before a line feed end one line
        (b"one\n\ntwo\r\rthree", ["one", "two", "three"]),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz", ".ZST"])
def test_blank_lines_separate_documents_whatever_ends_a_line(data, expected, packed: str, tmp_path: Path) -> None:
    compress = {".gz": gzip.compress, ".ZST": zstandard.ZstdCompressor().compress}.get(packed, bytes)
    (tmp_path / f"a.txt{packed}").write_bytes(compress(data))
    assert read_documents(str(tmp_path / f"a.txt{packed}"))[0] == expected


def test_endings_in_capitals_are_read_alone_and_in_a_folder(tmp_path: Path) -> None:
    for name, text in (("1.TXT", "one"), ("2.Jsonl", '{"text": "two"}'), ("3.CSV", "text\nthree\n"), ("4.txt", "four")):
        (tmp_path / name).write_text(text)
    assert read_documents(str(tmp_path))[0] == ["one", "two", "three", "four"]
    assert read_documents(str(tmp_path / "3.CSV"))[0] == ["three"]


def test_a_field_that_a_json_row_gives_twice_is_refused_by_its_line(tmp_path: Path) -> None:
    row = {"title": 'says "text": twice, and "text"', "nested": {"text": 1}, "text": "kept"}
    (tmp_path / "fine.jsonl").write_text(json.dumps(row) + "\n")
    assert read_documents(str(tmp_path / "fine.jsonl"))[0] == ["kept"]
    (tmp_path / "twice.jsonl").write_text('{"text": "a"}\n{"text": "b", "id": 1, "text": "c"}\n')
    with pytest.raises(InputError, match=r"twice\.jsonl, line 2: the field `text` is there 2 times"):
        read_documents(str(tmp_path / "twice.jsonl"))


def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has 2 columns named `text`"):
        read_documents(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize("command", [["tokenize", ""], ["eval", "model", "--on", " "]])
def test_an_empty_name_is_not_the_folder_that_the_command_runs_in(command, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a secret of this folder")
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path / "model")
    asked = command if command[0] == "eval" else [*command, "--out", "out"]
    assert run(asked) == 2
    assert "the name of the corpus is empty" in " ".join(capsys.readouterr().err.split())


def test_no_link_and_no_folder_is_left_out_of_a_corpus_in_silence(tmp_path: Path) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    (corpus / "in" / "it").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "b.txt").write_text("linked")
    (corpus / "in" / "it" / "a.txt").write_text("one")
    (corpus / "in" / "b.txt").symlink_to(elsewhere / "b.txt")
    (corpus / "picture.png").symlink_to(tmp_path / "gone")
    assert read_documents(str(corpus))[0] == ["linked", "one"]
    for name, target in (("link", elsewhere), ("gone.txt", tmp_path / "gone"), ("loop", corpus)):
        (corpus / name).symlink_to(target)
        with pytest.raises(InputError, match=rf"{name} is a link to .*{target.name}, which cannot be read as a file"):
            read_documents(str(corpus))
        (corpus / name).unlink()
