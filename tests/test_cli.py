"""The command line: bad input is answered by one clear line and the right status."""

import errno
import gzip
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

import cratelm.commands
from cratelm.artifacts import claim_study
from cratelm.cli import COMMANDS, app, run
from cratelm.errors import InputError, RunError
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
        (["--training.tokens", "-1"], "--training.tokens. It must be 0 or more"),
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
        ("one.txt", b"one short document", "holds 1 document, and 4 are needed at least"),
        ("small.txt", b"one\n\ntwo\n\nthree\n\nfour", "the train side has text for"),
        ("broken.jsonl", b'{"text": "a"}\n{"text"\n', "line 2"),
        ("field.jsonl", b'{"body": "a"}\n', "no field `text`"),
        ("nested.jsonl", b"[" * 200_000, "line 1: brackets are nested too deeply"),
        ("wide.txt", "some words".encode("utf-16"), "holds UTF-16, not UTF-8 text"),
        ("wide.csv", "text\nwords".encode("utf-16-le"), "holds binary data, or UTF-16"),
        ("zip.txt", b"PK\x03\x04\x14\x00", "holds a zip archive"),
        ("packed.txt", gzip.compress(b"some words", mtime=0), "holds gzip data"),
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


def test_help_gives_every_command_a_line_in_a_terminal_of_80_columns(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app(["--help"], result_action="return_value")
    listed = re.findall(r"^│ ([a-z]+) +(\S.*\.) +│$", capsys.readouterr().out, re.MULTILINE)
    modules = [path.read_text() for path in Path(cratelm.commands.__file__).parent.glob("*.py")]
    commands = [found[1] for text in modules if (found := re.match(r'"""`cratelm ([a-z]+)`\.', text))]
    assert sorted(name for name, _ in listed) == sorted(commands)
    assert all(len(line) > 20 for _, line in listed)


def test_help_of_one_command_has_all_that_its_docstring_says(capsys) -> None:
    app(["record", "--help"], result_action="return_value")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Record what every unit of a model fires on. Two passes read text" in shown and "--protocol" in shown


@pytest.mark.parametrize("command", [name for names in COMMANDS.values() for name in names])
def test_the_first_line_of_a_commands_help_names_its_arguments(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app([command, "--help"], result_action="return_value")
    usage = capsys.readouterr().out.splitlines()[0]
    assert usage.startswith(f"Usage: cratelm {command} ") and "ARGS" not in usage


@pytest.mark.processes
def test_the_package_runs_as_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "cratelm", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, version("cratelm"))


@pytest.mark.processes
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


def test_a_folder_whose_entries_are_called_like_tokens_is_no_study(tmp_path, capsys) -> None:
    (tmp_path / "tokens-of-love.txt").write_text("mine")
    status, error = status_and_message([*STUDY, "--out", str(tmp_path)], capsys)
    assert status == 2
    assert "is not a study" in error
    (tmp_path / "tokens-of-love.txt").rename(tmp_path / "tokens.partial")
    status, error = status_and_message([*STUDY, "--out", str(tmp_path)], capsys)
    assert status == 2
    assert (tmp_path / "tokens.partial").read_text() == "mine"


def fail_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command fail."""

    def call(*arguments, **named) -> None:
        raise error

    monkeypatch.setattr(type(app), "__call__", call)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), 3, "a/b: No space left on device"),
        (OSError(errno.EIO, "Input/output error"), 3, "Input/output error"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), 2, "a: No such file or directory"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 2, "a: Permission denied"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a"), 2, "a: File name too long"),
        (MemoryError("unable to allocate"), 3, "the memory is full"),
        (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"), 2, "caf\\udce9' is not UTF-8"),
    ],
)
def test_what_the_system_says_is_one_line_and_has_a_status(error, status, message, monkeypatch, capsys) -> None:
    fail_by(error, monkeypatch)
    assert run(["train"]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_bug_of_ours_is_not_hidden(monkeypatch) -> None:
    fail_by(KeyError("x"), monkeypatch)
    with pytest.raises(KeyError):
        run(["train"])


def test_only_a_command_that_writes_a_folder_says_that_what_is_done_is_kept(monkeypatch, capsys) -> None:
    fail_by(KeyboardInterrupt(), monkeypatch)
    assert run(["view", "study"]) == 130
    assert capsys.readouterr().err == "cratelm: interrupted.\n"
    assert run(["measure", "m"]) == 130  # its folder has a name unless another is given
    assert "To go on: cratelm measure m\n" in capsys.readouterr().err
    assert run(["record", "m", "--text", "t", "--out=o"]) == 130
    assert "what is done is kept. To go on: cratelm record m" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_refused_before_the_work(tmp_path, capsys) -> None:
    out = tmp_path / "caf\udce9"
    status, error = status_and_message(["tokenize", "--out", str(out)], capsys)
    assert status == 2
    assert "caf\\udce9' is not UTF-8" in error


def test_a_corpus_with_a_file_whose_name_is_not_utf8_is_refused_in_one_line(tmp_path, capsys) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "caf\udce9.txt").write_text("\n\n".join(sentences(300)))
    (tmp_path / "corpus" / "other.txt").write_text("words")
    arguments = ["tokenize", str(tmp_path / "corpus"), "--tokenizer", "gpt2", "--out", str(tmp_path / "out")]
    status, error = status_and_message(arguments, capsys)
    assert status == 2
    assert "is not UTF-8" in error.splitlines()[-1]


def main_of(arguments: list[str], **options) -> subprocess.Popen:
    command = [sys.executable, "-c", "from cratelm.cli import main; main()", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.processes
def test_a_reader_that_leaves_early_is_no_error(study) -> None:
    reading, writing = os.pipe()
    process = main_of(["show", str(study), "crate/0/1"], stdout=writing)
    os.close(writing)
    os.close(reading)
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0


@pytest.mark.processes
def test_a_terminal_that_knows_ascii_alone_is_shown_what_it_can(study) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    process = main_of(["show", str(study), "crate/0/1"], stdout=subprocess.PIPE, env=environment)
    printed, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert "crate/0/1" in printed


def test_a_configuration_that_no_machine_holds_is_refused_before_the_text_is_read(tmp_path, capsys) -> None:
    big = ["--shape.layers", "1000", "--shape.width", "65536"]
    status, error = status_and_message([*STUDY, "--out", str(tmp_path / "out"), *big], capsys)
    assert status == 3
    assert "a model of 1000 layers and width 65536 takes more than 275 TB" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "message", "shown"),
    [
        ("record", "give --records.protocol short, or --sites.", "give --protocol short, or --sites."),
        ("measure", "give --protocol short, or --sites.", "give --records.protocol short, or --records.sites."),
        ("measure", "--half has no counterpart", None),
        ("study", "--batch could be of two stages; --records.batch not", None),
        ("study", "use cratelm record --protocol paper", None),
        (
            "measure",
            "by cratelm record --protocol paper: --sites",
            "by cratelm record --protocol paper: --records.sites",
        ),
    ],
)
@pytest.mark.parametrize("kind", [InputError, RunError])
def test_a_message_names_the_flags_of_its_command(kind, command, message, shown, monkeypatch, capsys) -> None:
    fail_by(kind(message), monkeypatch)
    run([command])
    assert capsys.readouterr().err == f"cratelm: {shown or message}\n"
