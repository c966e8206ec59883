"""A corpus of the hub, against a stand-in server with the Pile's file layout."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from cratelm.cli import run
from cratelm.corpus.hub import patiently
from tests.conftest import sentences
from tests.corpus.test_readers import write

IMPATIENT = "import cratelm.corpus.hub as hub; hub.WAITS = (0.1, 0.1, 0.1); from cratelm.cli import main; main()"
TOKENIZE = [sys.executable, "-c", IMPATIENT, "tokenize"]


OPTIONS = ["--tokenizer", "bpe:300", "--explain-share", "0.2", "--score-share", "0.2", "--out"]
COMMIT = "c" * 40


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """A folder laid out as a small Pile."""
    (tmp_path / "pile" / "train").mkdir(parents=True)
    texts = sentences(300)
    for number in range(3):
        write(tmp_path / "pile" / "train" / f"{number:02d}.jsonl.zst", texts[number * 100 : number * 100 + 100])
    write(tmp_path / "pile" / "val.jsonl.zst", sentences(20, seed=1))
    return tmp_path / "pile"


@contextmanager
def served(folder: Path, refusals: int, status: int = 503) -> Iterator[str]:
    """The address of a hub that holds the folder, and is busy at first."""
    command = [sys.executable, Path(__file__).with_name("hub_server.py"), folder, str(refusals), str(status)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def tokenize(address: str, corpus: str, out: Path) -> subprocess.CompletedProcess:
    allowed = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(out.parent / "home")}
    environment = os.environ | allowed | {"HF_HUB_DISABLE_XET": "1"}
    return subprocess.run([*TOKENIZE, corpus, *OPTIONS, str(out)], env=environment, capture_output=True, text=True)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("corpus", "status"),
    [("hub:owner/name:train/*.jsonl.zst", 503), (f"hub:owner/name@{COMMIT}:train/*.jsonl.zst", 429)],
)
def test_a_corpus_of_a_busy_hub_gives_the_bytes_of_its_files_in_a_folder(
    pile: Path, tmp_path: Path, corpus, status
) -> None:
    with served(pile, refusals=2, status=status) as address:
        result = tokenize(address, corpus, tmp_path / "hub")
    assert result.returncode == 0, result.stderr
    assert run(["tokenize", str(pile / "train"), *OPTIONS, str(tmp_path / "folder")]) == 0
    for file in (tmp_path / "folder").glob("*.ds*"):
        assert (tmp_path / "hub" / file.name).read_bytes() == file.read_bytes()
    source = json.loads((tmp_path / "hub" / "counts.json").read_text())["source"]
    assert (source["repository"], source["revision"]) == ("owner/name", COMMIT)
    assert [file["name"] for file in source["files"]] == [f"train/{number:02d}.jsonl.zst" for number in range(3)]
    assert not list((tmp_path / "hub").rglob("*.zst"))  # what was fetched is gone


def test_a_hub_that_takes_no_more_requests_for_a_minute_is_waited_for(monkeypatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("cratelm.corpus.hub.is_offline_mode", lambda: False)

    class Limited(OSError):
        response = SimpleNamespace(status_code=429)

    def ask() -> str:
        if sum(slept) < 60:
            raise Limited
        return "the files"

    assert patiently("datasets/owner/name", "a folder", ask) == "the files"


@pytest.mark.processes
def test_a_hub_that_stays_busy_is_given_up_and_gone_on_with_later(pile: Path, tmp_path: Path) -> None:
    with served(pile, refusals=10**6) as address:
        result = tokenize(address, "hub:owner/name:train/*", tmp_path / "hub")
    assert result.returncode == 3
    assert "the hub does not give datasets/owner/name, asked" in result.stderr
    assert "Traceback" not in result.stderr
    with served(pile, refusals=0) as address:
        assert tokenize(address, "hub:owner/name:train/*", tmp_path / "hub").returncode == 0


@pytest.mark.processes
@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("hub:owner/none", "cannot be had"),
        ("hub:owner/name:*.pdf", "holds no file like"),
        ("hub:name", "is not the name of a data set"),
    ],
)
def test_what_the_hub_does_not_have_is_said_at_once(pile: Path, tmp_path: Path, corpus, message) -> None:
    with served(pile, refusals=0) as address:
        result = tokenize(address, corpus, tmp_path / "hub")
    assert (result.returncode, message in result.stderr) == (2, True), result.stderr


def test_the_hub_is_off_unless_asked_for(tmp_path: Path, capsys) -> None:
    assert run(["tokenize", "hub:owner/name", "--out", str(tmp_path / "out")]) == 2
    assert "HF_HUB_OFFLINE=0 turns it on; or give the path of a folder" in capsys.readouterr().err
