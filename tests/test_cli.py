"""The command line: bad input is answered by one clear line and the right status."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from cratelm.artifacts import claim_study
from cratelm.cli import run
from cratelm.presets import preset
from tests.conftest import sentences

STUDY = ["study", "--preset", "smoke"]


def status_and_message(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = run(arguments)
    captured = capsys.readouterr()
    assert not captured.out
    return status, captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "lpatop"], "Did you mean laptop?"),
        (["--training.token", "5"], "Did you mean --training.tokens?"),
        (["--training.tokens", "many"], "--training.tokens"),
        (["--training.tokens", "-1"], "tokens must be 0 or more"),
        (["--models", "crate,crat"], "unknown model 'crat'"),
        (["--models", "crate,crate"], "names one twice"),
        (["--shape.heads", "3"], "width a multiple of heads"),
        (["--tokenizer", "bpe:100"], "bpe:N with N from 257"),
        (["--corpus", "missing.txt"], "no such file"),
        (["--explain-share", "0.99"], "add to less than 1"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--records.pool", "1"], "a pool of 1 excerpts"),
    ],
)
def test_bad_input_is_answered_by_one_line_and_status_2(arguments, message, tmp_path, capsys) -> None:
    base = [] if "--preset" in arguments else ["--preset", "smoke"]
    status, error = status_and_message(["study", *base, "--out", str(tmp_path / "out"), *arguments], capsys)
    assert status == 2
    assert message in error
    assert "Traceback" not in error
    assert len([line for line in error.splitlines() if line != "reading the corpus"]) == 1


def corpus_of(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.txt", b"", "holds no text"),
        ("one.txt", b"one short document", "the train side has text for"),
        ("broken.jsonl", b'{"text": "a"}\n{"text"\n', "line 2"),
        ("field.jsonl", b'{"body": "a"}\n', "no field `text`"),
        (
            "short.txt",
            "\n\n".join(f"number {k}" for k in range(900)).encode(),
            "no document of the explain side is 64 tokens long",
        ),
    ],
)
def test_text_that_cannot_be_used_is_named(name, data, message, tmp_path, capsys) -> None:
    corpus = corpus_of(tmp_path / name, data)
    status, error = status_and_message([*STUDY, "--corpus", str(corpus), "--out", str(tmp_path / "out")], capsys)
    assert status == 2
    assert message in error
    assert "Traceback" not in error


def test_the_command_line_overrides_a_toml_file_which_overrides_the_preset(tmp_path, capsys) -> None:
    (tmp_path / "out").mkdir()
    claim_study(tmp_path / "out", preset("smoke"))
    (tmp_path / "a.toml").write_text('corpus = "from-toml.txt"\n[training]\nbatch = 3\nevaluations = 5\n')
    arguments = [*STUDY, "--out", str(tmp_path / "out"), "--config", str(tmp_path / "a.toml"), "--training.batch", "2"]
    status, error = status_and_message(arguments, capsys)
    assert status == 2
    assert [line.strip() for line in error.splitlines()[1:-1]] == [
        "corpus.corpus: 'reviews' there, 'from-toml.txt' asked for",
        "training.batch: 8 there, 2 asked for",
        "training.evaluations: 4 there, 5 asked for",
    ]


def test_unknown_keys_of_a_toml_file_are_refused(tmp_path, capsys) -> None:
    (tmp_path / "a.toml").write_text("[trainign]\nbatch = 3\n")
    arguments = [*STUDY, "--out", str(tmp_path / "out"), "--config", str(tmp_path / "a.toml")]
    status, error = status_and_message(arguments, capsys)
    assert status == 2
    assert "trainign" in error


def test_a_folder_that_holds_another_study_or_other_files_is_refused(tmp_path, capsys) -> None:
    claim_study(tmp_path, preset("smoke"))
    status, error = status_and_message([*STUDY, "--seed", "7", "--out", str(tmp_path)], capsys)
    assert status == 2
    assert "seed: 0 there, 7 asked for" in error
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_text("")
    status, error = status_and_message([*STUDY, "--out", str(tmp_path / "photos")], capsys)
    assert status == 2
    assert "is not a study" in error


def test_a_slip_in_the_settings_spoils_no_folder(tmp_path, capsys) -> None:
    out = str(tmp_path / "out")
    status_and_message([*STUDY, "--corpus", "typo.txt", "--out", out], capsys)
    corpus = corpus_of(tmp_path / "corpus.txt", b"")
    assert "holds no text" in status_and_message([*STUDY, "--corpus", str(corpus), "--out", out], capsys)[1]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cratelm.cli import app; app(['--help'], result_action='return_value');"
        "assert not {'torch', 'transformers', 'numpy', 'pyarrow', 'matplotlib', 'openai'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_study_keeps_what_is_done_and_says_how_to_go_on(number, status, tmp_path) -> None:
    (tmp_path / "corpus.txt").write_text("\n\n".join(sentences(600)))
    arguments = ["--corpus", "corpus.txt", "--tokenizer", "bpe:300", "--training.tokens", "90000000", "--out", "out"]
    command = [sys.executable, "-c", "from cratelm.cli import main; main()", *STUDY, *arguments]
    # What a shell runs in the background ignores SIGINT, and so do its children unless they are told.
    heard = partial(signal.signal, number, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    checkpoints = tmp_path / "out" / "models" / "crate.partial" / "checkpoints"
    deadline = time.monotonic() + 120
    while not checkpoints.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert "To go on: cratelm study --preset smoke" in error
    assert "Traceback" not in error
    assert (tmp_path / "out" / "tokens" / "manifest.json").is_file()
