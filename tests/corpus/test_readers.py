"""Every file format gives the same documents, and what cannot be read is named."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from cratelm.cli import run
from cratelm.corpus.token_text import token_bytes
from cratelm.corpus.tokenizer import END_OF_TEXT, end_of_text_id, gpt2_tokenizer, make_tokenizer, train_bpe
from cratelm.errors import InputError
from tests.conftest import read_documents, sentences

TEXTS = ["one\nline two", 'quotes " and , commas', "NUL \x00 inside", "é ü 漢字 🙂", "x" * 200_000]


def write(path: Path, texts: list[str], field: str = "text") -> Path:
    """A file of the format that its name asks for."""
    kind = path.with_suffix("").suffix if path.suffix in (".gz", ".zst") else path.suffix
    if kind == ".parquet":
        pq.write_table(pa.table({"id": list(range(len(texts))), field: texts}), path)
        return path
    if kind == ".jsonl":
        data = "".join(json.dumps({"id": k, field: text}) + "\n" for k, text in enumerate(texts)).encode()
    else:
        plain = path.with_name("plain.tmp")
        with plain.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["id", field], *enumerate(texts)])
        data = plain.read_bytes()
        plain.unlink()
    compress = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(compress(data))
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.csv.zst", "a.parquet"]
)
def test_every_format_gives_the_documents_back(name, tmp_path) -> None:
    assert read_documents(str(write(tmp_path / name, TEXTS)))[0] == TEXTS
    other = write(tmp_path / f"body-{name}", TEXTS, field="body")
    assert read_documents(str(other), field="body")[0] == TEXTS


def test_a_folder_of_several_formats_is_read_in_the_order_of_its_names(tmp_path) -> None:
    write(tmp_path / "2.jsonl.zst", TEXTS[2:4])
    write(tmp_path / "1.parquet", TEXTS[:2])
    (tmp_path / "3.txt").write_text("a document\n\nof two blocks")
    (tmp_path / "ignored.png").write_bytes(b"\x89PNG")
    assert read_documents(str(tmp_path))[0] == [*TEXTS[:4], "a document\n\nof two blocks"]


def test_two_frames_of_zstandard_in_one_file_are_both_read(tmp_path) -> None:
    frames = [zstandard.ZstdCompressor().compress(json.dumps({"text": text}).encode() + b"\n") for text in TEXTS[:2]]
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(frames))
    assert read_documents(str(tmp_path / "a.jsonl.zst"))[0] == TEXTS[:2]


@pytest.mark.parametrize(
    ("name", "harm"),
    [(name, harm) for name in ("a.jsonl.gz", "a.jsonl.zst") for harm in ("cut", "overwritten")]
    + [("a.parquet", "cut")],
)
def test_a_damaged_file_is_named(name, harm, tmp_path) -> None:
    path = write(tmp_path / name, ["some text of one document " * 50, "and another one " * 50])
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] if harm == "cut" else data[:half] + b"\xff" * 8 + data[half + 8 :])
    with pytest.raises(InputError, match=rf"{name}( is damaged|, line \d)"):
        read_documents(str(path))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_missing_column_is_named_with_those_there_are(name, tmp_path) -> None:
    path = write(tmp_path / name, TEXTS, field="body")
    with pytest.raises(InputError, match="has no column `text`; it has: id, body"):
        read_documents(str(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('id,text\n1,"one\n2,two\n3,three\n', "begins in line 2: its quotes do not fit"),
        ('id,text\n1,"one\n2,"two"\n3,three\n', "begins in line 2: its quotes do not fit"),
        ('id,text\n1,"fine\nhere"\n2,"bro"ken"\n', "begins in line 4: its quotes do not fit"),
        ('id,text\n1,"backslash \\" quote"\n', "begins in line 2: its quotes do not fit"),
        ('id,text\n1,"one', "begins in line 2: its quotes do not fit"),
        ("id,text\n1,one, two\n", "line 2: 3 fields, where the header names 2 columns"),
        ('id,text\n1,"one\ntwo"\n\n2\n', "line 5: 1 fields, where the header names 2 columns"),
        ("id,text\r\n1,one\r\n2\r\n", "line 3: 1 fields, where the header names 2 columns"),
        ("text,text\na,b\n", "has 2 columns named `text`"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("id\ttext\n1\tone\n", "its header is 'id\\\\ttext', separated by tabs"),
        ("id;text\n1;one\n", "separated by semicolons"),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_csv_row_that_does_not_fit_is_refused_by_its_line(data, message, packed, tmp_path) -> None:
    path = tmp_path / f"a.csv{packed}"
    path.write_bytes(gzip.compress(data.encode()) if packed else data.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_documents(str(path))
    assert "\n" not in str(caught.value)


def test_a_replacement_character_in_a_csv_is_text_and_invalid_utf8_is_counted(tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(
        'id,text\r\n1,half \ufffd\r\n\r\n2,"caf\udce9,\r\nnow"\r\n'.encode(errors="surrogateescape")
    )
    documents, counts = read_documents(str(tmp_path / "a.csv"))
    assert documents == ["half \ufffd", "caf\ufffd,\r\nnow"]
    assert counts["invalid_utf8"] == 1


def test_gpt2s_tokenizer_is_the_real_one() -> None:
    tokenizer = gpt2_tokenizer()
    assert tokenizer.get_vocab_size() == 50257
    assert tokenizer.encode(" Hello world").ids == [18435, 995]
    assert end_of_text_id(tokenizer) == 50256
    assert 50256 not in tokenizer.encode(END_OF_TEXT).ids
    text = "Half a character: \ufffd, naïve 漢字 🙂\n\n  indented"
    data = token_bytes(tokenizer)
    assert b"".join(data[k] for k in tokenizer.encode(text).ids) == text.encode()


def test_a_tokenizer_from_a_file_or_its_folder_is_the_same(tmp_path) -> None:
    trained = train_bpe(sentences(20), 300)
    trained.save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = make_tokenizer(str(path), [])
        assert loaded.get_vocab() == trained.get_vocab()
        assert end_of_text_id(loaded) not in loaded.encode(END_OF_TEXT).ids


def word_level(words: list[str], path: Path) -> str:
    Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token=words[0])).save(str(path))
    return str(path)


def test_a_tokenizer_that_cannot_be_used_is_named(tmp_path) -> None:
    (tmp_path / "broken.json").write_text("{")
    cases = {
        str(tmp_path / "none"): "no tokenizer at",
        str(tmp_path / "broken.json"): "is not a tokenizer",
        word_level(["a", "b"], tmp_path / "ends.json"): "no special token to mark where a document ends",
    }
    for name, message in cases.items():
        with pytest.raises(InputError, match=message):
            make_tokenizer(name, [])


def test_the_second_packaged_corpus_is_1532_files_of_python() -> None:
    documents, counts = read_documents("python-source")
    assert counts["read"] == 1532
    assert sum(len(text.encode()) for text in documents) > 25_000_000
    assert any(text.startswith('"""\nSymPy is a Python library') for text in documents)


def test_the_command_makes_the_same_bytes_twice(tmp_path, capsys) -> None:
    corpus = write(tmp_path / "a.jsonl.zst", sentences(300))
    for out in ("a", "b"):
        assert run(["tokenize", str(corpus), "--tokenizer", "bpe:300", "--out", str(tmp_path / out)]) == 0
    assert "train: " in capsys.readouterr().out
    files = {path.name for path in (tmp_path / "a").iterdir() if path.is_file()}
    assert files == {path.name for path in (tmp_path / "b").iterdir() if path.is_file()}
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
