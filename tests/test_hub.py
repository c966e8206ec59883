"""A corpus of the hub, against a stand-in server with the Pile's file layout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cratelm.cli import run
from tests.conftest import sentences
from tests.test_readers import write

TOKENIZE = [sys.executable, "-c", "from cratelm.cli import main; main()", "tokenize"]


@pytest.fixture
def pile(tmp_path: Path):
    """The address of a hub that holds a small Pile."""
    (tmp_path / "pile" / "train").mkdir(parents=True)
    texts = sentences(300)
    for number in range(3):
        write(tmp_path / "pile" / "train" / f"{number:02d}.jsonl.zst", texts[number * 100 : number * 100 + 100])
    write(tmp_path / "pile" / "val.jsonl.zst", sentences(20, seed=1))
    server = Path(__file__).with_name("hub_server.py")
    process = subprocess.Popen([sys.executable, server, tmp_path / "pile"], stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()


def test_a_corpus_of_the_hub_gives_the_bytes_of_its_files_in_a_folder(pile: str, tmp_path: Path) -> None:
    allowed = {"HF_ENDPOINT": pile, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    options = ["--tokenizer", "bpe:300", "--explain-share", "0.2", "--score-share", "0.2", "--out"]
    command = [*TOKENIZE, "hub:owner/name:train/*.jsonl.zst", *options, str(tmp_path / "hub")]
    for _ in range(3):  # the server is busy at first: the same command goes on
        result = subprocess.run(command, env=os.environ | allowed, capture_output=True, text=True, timeout=120)
        if result.returncode == 0:
            break
        assert result.returncode == 2
        assert "Try again" in result.stderr
        assert "Traceback" not in result.stderr
    assert result.returncode == 0, result.stderr
    assert run(["tokenize", str(tmp_path / "pile" / "train"), *options, str(tmp_path / "folder")]) == 0
    for file in (tmp_path / "folder").glob("*.ds*"):
        assert (tmp_path / "hub" / file.name).read_bytes() == file.read_bytes()


def test_the_hub_is_off_unless_asked_for(tmp_path: Path, capsys) -> None:
    assert run(["tokenize", "hub:owner/name", "--out", str(tmp_path / "out")]) == 2
    assert "HF_HUB_OFFLINE=0 turns it on; or give the path of a folder" in capsys.readouterr().err
