"""The sets of `cratelm eval`, read as the hub lays them out."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from cratelm.corpus.evaluation_sets import articles, read_evaluation_set


def parquet(path: Path, column: str, values: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: values}), path)


WIKITEXT = (
    " \n = First = \n \n Text with a = sign . \n = Not a heading = \n \n = = Section = = \n \n More . \n"
    " \n = Second = \n \n Its text . \n"
)


@pytest.mark.parametrize("name", ["wikitext2", "wikitext103"])
def test_wikitext_is_cut_at_top_level_headings_and_loses_nothing(name, tmp_path) -> None:
    rows = [line if line.strip() else "" for line in WIKITEXT.splitlines(keepends=True)]
    config = {"wikitext2": "wikitext-2-raw-v1", "wikitext103": "wikitext-103-raw-v1"}[name]
    parquet(tmp_path / config / "test-00000-of-00001.parquet", "text", rows)
    parquet(tmp_path / config / "train-00000-of-00001.parquet", "text", ["not this"])
    found = read_evaluation_set(name, tmp_path).documents
    assert [text.split("\n")[0] for text in found] == [" = First = ", " = Second = "]
    assert "= Not a heading =" in found[0] and "= = Section = =" in found[0]
    assert "".join(articles(rows)) == WIKITEXT


def test_penn_treebank_is_read_in_runs_of_sentences(tmp_path) -> None:
    parquet(tmp_path / "penn_treebank" / "test" / "0000.parquet", "sentence", [f"number {k}" for k in range(150)])
    found = read_evaluation_set("ptb", tmp_path).documents
    assert [len(text.split("\n")) for text in found] == [100, 50]
    assert found[1].startswith("number 100\nnumber 101")


def test_openwebtext_is_the_first_documents_of_its_last_file(tmp_path) -> None:
    parquet(tmp_path / "plain_text" / "train-00079-of-00080.parquet", "text", [f"page {k}" for k in range(5100)])
    parquet(tmp_path / "plain_text" / "train-00000-of-00080.parquet", "text", ["another"])
    found = read_evaluation_set("openwebtext", tmp_path).documents
    assert found == [f"page {k}" for k in range(5000)]
    assert read_evaluation_set("openwebtext", tmp_path, 3).documents == found[:3]


def test_the_pile_is_read_from_compressed_json_lines(tmp_path) -> None:
    data = "".join(json.dumps({"text": f"é {k}", "meta": {}}) + "\n" for k in range(50)).encode()
    pack = zstandard.ZstdCompressor().compress
    (tmp_path / "test.jsonl.zst").write_bytes(pack(data[:100]) + pack(data[100:]))
    (tmp_path / "val.jsonl.zst").write_bytes(pack(b'{"text": "not this"}\n'))
    assert read_evaluation_set("pile", tmp_path).documents == [f"é {k}" for k in range(50)]


def test_a_path_is_read_as_a_corpus_is(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    assert read_evaluation_set(str(tmp_path / "a.txt")).documents == ["one\ntwo", "three"]
    parquet(tmp_path / "b.parquet", "text", ["one", "", "two"])
    assert read_evaluation_set(str(tmp_path / "b.parquet")).documents == ["one", "two"]


def test_the_hub_is_asked_for_a_sets_own_files_alone(tmp_path, monkeypatch) -> None:
    asked = []

    def hub(*arguments, **settings) -> str:
        asked.append((arguments, settings))
        return str(tmp_path)

    monkeypatch.setattr("cratelm.corpus.hub.snapshot_download", hub)
    parquet(tmp_path / "penn_treebank" / "test" / "0000.parquet", "sentence", ["one"])
    found = read_evaluation_set("ptb")
    assert (found.documents, found.revision) == (["one"], tmp_path.name)
    settings = {"repo_type": "dataset", "revision": "refs/convert/parquet"}
    assert asked == [
        (("ptb-text-only/ptb_text_only",), {**settings, "allow_patterns": ["penn_treebank/test*.parquet"]})
    ]
