"""A corpus in shards: the same bytes for any number of workers, nothing lost or doubled when one dies."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cratelm.artifacts import Artifact
from cratelm.corpus.config import SIDES, CorpusConfig
from cratelm.corpus.read_tokens import read_side, read_tokenizer, read_train
from cratelm.corpus.sources import open_source
from cratelm.corpus.token_shards import ShardWork
from cratelm.corpus.tokenizer import END_OF_TEXT
from cratelm.corpus.tokens import tokenize
from cratelm.corpus.writing import write_side
from cratelm.errors import InputError, RunError
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import run_shards
from tests.conftest import sentences
from tests.corpus.test_readers import write
from tests.noted import Noted, Struck, fill, kill, made
from tests.waiting import is_running, launch, wait_until


def end_of_text(tokens: Artifact) -> int:
    return read_tokenizer(tokens).token_to_id(END_OF_TEXT)


def folder_of_shards(path: Path, monkeypatch) -> CorpusConfig:
    """A corpus of five files that are a shard each, some documents standing in two of them."""
    monkeypatch.setattr("cratelm.corpus.sources.SHARD_BYTES", 1)
    path.mkdir()
    texts = sentences(500)
    for number in range(5):
        write(path / f"{number:02d}.jsonl.zst", texts[number * 100 : number * 100 + 110])
    return CorpusConfig(corpus=str(path), tokenizer="bpe:300", explain_share=0.2, score_share=0.2)


def outputs(tokens: Artifact) -> dict:
    return tokens.manifest["outputs"]


@pytest.mark.processes
def test_one_and_four_workers_give_the_same_bytes(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    assert len(open_source(config, tmp_path).shards) == 5
    one = tokenize(config, tmp_path / "one", quiet, EngineConfig(workers=1))
    four = tokenize(config, tmp_path / "four", quiet, EngineConfig(workers=4))
    assert outputs(one) == outputs(four)


def test_a_shard_whose_worker_died_is_made_again_and_the_others_are_not(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    whole = tokenize(config, tmp_path / "whole", quiet)
    made = []
    honest = ShardWork.__call__

    def dies_at_the_third(self: ShardWork, number: int) -> None:
        if number == 3:
            (self.out / "00003.ds").write_bytes(b"half a shard")
            raise KeyboardInterrupt
        honest(self, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ShardWork, "__call__", dies_at_the_third)
        tokenize(config, tmp_path / "a", quiet)
    with monkeypatch.context() as patch:
        patch.setattr(ShardWork, "__call__", lambda self, number: (made.append(number), honest(self, number)))
        again = tokenize(config, tmp_path / "a", quiet)
    assert made == [3, 4]
    assert outputs(again) == outputs(whole)


@pytest.mark.processes
@pytest.mark.parametrize("second", [1, 2])
def test_another_number_of_workers_goes_on_where_one_was_stopped(tmp_path, second) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run_shards(Noted(tmp_path / "made", dies_at=2), range(4), EngineConfig(), tmp_path / "log", print)
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"0", "1"}
    run_shards(Noted(tmp_path / "made"), range(4), EngineConfig(workers=second), tmp_path / "log", print)
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"0", "1", "2", "3"}


@pytest.mark.processes
def test_what_two_workers_made_is_not_made_again_by_one(tmp_path) -> None:
    for workers in (2, 1):
        run_shards(Noted(tmp_path), range(3), EngineConfig(workers=workers), tmp_path / "log", print)


def test_a_run_that_died_before_its_commit_is_finished_without_its_shards(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    whole = tokenize(config, tmp_path / "whole", quiet)

    def die(*arguments) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cratelm.stages.Claim.commit", die)
        tokenize(config, tmp_path / "a", quiet)
    assert not (tmp_path / "a.partial" / "shards").exists()
    assert outputs(tokenize(config, tmp_path / "a", quiet)) == outputs(whole)


def test_every_distinct_document_is_on_one_side_once(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    tokens = tokenize(config, tmp_path / "a", quiet)
    tokenizer = read_tokenizer(tokens)
    found: dict[str, list[str]] = {}
    for name in SIDES:
        stream = read_train(tokens)[: 10**9] if name == "train" else read_side(tokens, name).tokens
        cuts = np.flatnonzero(stream == end_of_text(tokens)) + 1
        found[name] = [tokenizer.decode(part[:-1].tolist()) for part in np.split(stream, cuts)[:-1]]
    held_out = [text for name in SIDES if name != "train" for text in found[name]]
    assert len(set(held_out)) == len(held_out)
    assert set(held_out) | set(found["train"]) == set(sentences(500))
    assert not set(held_out) & set(found["train"])


@pytest.mark.processes
def test_a_broken_line_in_a_workers_shard_is_named_in_one_line(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    config = dataclasses.replace(config, tokenizer="gpt2")
    (tmp_path / "corpus" / "04.jsonl").write_text('{"text": \n')
    with pytest.raises(InputError, match=r"04\.jsonl, line 1: not JSON"):
        tokenize(config, tmp_path / "a", quiet, EngineConfig(workers=2))


def test_a_run_that_died_while_moving_its_shards_goes_on(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    whole = tokenize(config, tmp_path / "whole", quiet)
    moves = []
    honest = Path.replace

    def dies_at_the_fifth(self: Path, target: Path) -> Path:
        moves.append(self) if self.suffix in (".ds", ".index") else None
        if len(moves) == 5:
            raise KeyboardInterrupt
        return honest(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", dies_at_the_fifth)
        tokenize(config, tmp_path / "a", quiet)
    assert outputs(tokenize(config, tmp_path / "a", quiet)) == outputs(whole)


def test_every_file_that_was_read_is_recorded_with_its_hash(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    found = json.loads((tokenize(config, tmp_path / "a", quiet).path / "counts.json").read_text())
    said = subprocess.run(
        ["sha256sum", *sorted(path.name for path in Path(config.corpus).iterdir())],
        cwd=config.corpus,
        capture_output=True,
    )
    expected = [line.split() for line in said.stdout.decode().splitlines()]
    assert [[entry["sha256"], entry["name"]] for entry in found["source"]["files"]] == expected
    assert found["tokenizer"]["vocabulary"] == 300


@pytest.mark.parametrize("name", ["train-00001.ds", "explain.ds", "score.ds.index"])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: data[:-2], "bytes instead of"),
        (lambda data: data[:-1], "bytes instead of"),
        (lambda data: b"", "bytes instead of"),
        (None, "is missing"),
        (lambda data: b"\xff\xff" * (len(data) // 2), "vocabulary of 300"),
    ],
    ids=["truncated", "odd", "empty", "missing", "beyond the vocabulary"],
)
def test_a_harmed_shard_is_refused_by_its_name(tmp_path, quiet, monkeypatch, name, harm, message) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    tokens = tokenize(config, tmp_path / "a", quiet)
    file = tokens.path / name
    data = file.read_bytes()
    file.unlink()
    if harm is not None:
        file.write_bytes(harm(data))
    with pytest.raises(InputError, match=message) as refused:  # the readers see it without any hash
        if name.startswith("train"):
            train = read_train(tokens)
            for start in range(0, len(train), 100):
                train[start : start + 100]
        else:
            read_side(tokens, name.partition(".")[0])
    assert name.removesuffix(".index") in str(refused.value)
    with pytest.raises(InputError, match=rf"{name} is missing or damaged"):  # and so do the hashes
        tokenize(config, tmp_path / "a", quiet)


def test_a_shard_of_another_corpus_is_refused_by_its_hash(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    tokens = tokenize(config, tmp_path / "a", quiet)
    foreign = np.full(len(read_side(tokens, "score").tokens), 7, dtype="<u2")
    foreign.tofile(tokens.path / "score.ds")
    with pytest.raises(InputError, match=r"score\.ds is missing or damaged"):
        tokenize(config, tmp_path / "a", quiet)


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    whole = tokenize(config, tmp_path / "whole", quiet)

    def write_side_full(name: Path, *arguments) -> dict:
        if name.name == "00002":
            name.with_suffix(".ds").symlink_to("/dev/full")  # a device on which every write finds the disk full
        try:
            return write_side(name, *arguments)
        finally:
            if name.with_suffix(".ds").is_symlink():
                name.with_suffix(".ds").unlink()

    with monkeypatch.context() as patch, pytest.raises(RunError, match="No space left on device"):
        patch.setattr("cratelm.corpus.token_shards.write_side", write_side_full)
        tokenize(config, tmp_path / "a", quiet)
    assert outputs(tokenize(config, tmp_path / "a", quiet)) == outputs(whole)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(RunError, match="the tokens need about"):
        patch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
        tokenize(config, tmp_path / "a", quiet)
    assert not (tmp_path / "a.partial" / "shards").exists()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("befalls", "error", "message"),
    [
        (kill, RunError, "made shard 2 was killed by SIGKILL, as .* when the memory is full.*same command again"),
        (fill, OSError, "No space left on device"),
    ],
)
def test_a_worker_that_fails_is_told_in_one_line_and_its_shard_alone_is_made_again(
    befalls, error, message, tmp_path
) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    work, engine = Struck(folder, 2, befalls), EngineConfig(workers=4)
    with pytest.raises(error, match=message) as failed:
        run_shards(work, range(6), engine, tmp_path / "log", print)
    assert len(str(failed.value).splitlines()) == 1
    assert "2" not in made(folder)
    for mark in made(folder) - {path.name.lstrip("0") or "0" for path in (tmp_path / "log" / "completions").iterdir()}:
        (folder / mark).unlink()  # made, and stopped before it could be marked
    run_shards(work, range(6), engine, tmp_path / "log", print)
    assert made(folder) == {str(number) for number in range(6)}


@pytest.mark.processes
def test_workers_end_with_a_command_that_is_killed_and_the_same_command_goes_on(tmp_path) -> None:
    folder, log = tmp_path / "made", tmp_path / "log"
    folder.mkdir()
    launcher = launch("local", folder, log)
    begun = folder / "begun-0"
    wait_until(lambda: begun.is_file() and bool(begun.read_text()) and (log / "completions" / "00001").is_file())
    worker = int(begun.read_text())
    launcher.kill()
    launcher.wait()
    wait_until(lambda: not is_running(worker))
    assert launch("local", folder, log).wait() == 0
    assert made(folder) == {"0", "1"}


@pytest.mark.parametrize(
    ("engine", "message"),
    [(EngineConfig(engine="ray"), "pip install 'cratelm\[ray\]'"), (EngineConfig(engine="slurm"), "needs sbatch")],
)
def test_an_engine_that_is_not_there_is_refused_before_anything_is_written(
    engine, message, tmp_path, quiet, monkeypatch
) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)
    monkeypatch.setattr("cratelm.shards.ray.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=message):
        tokenize(config, tmp_path / "a", quiet, engine)
    assert not list(tmp_path.glob("a*"))
