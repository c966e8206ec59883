"""A stage that is killed at any of its writes goes on, and ends with the bytes of one that was not."""

import signal
from pathlib import Path

import pytest

from cratelm.artifacts import open_artifact
from cratelm.corpus.tokenizer import make_tokenizer
from cratelm.corpus.tokens import tokenize
from cratelm.explain.explain import explain
from tests import dying, killed
from tests.forking import forking
from tests.rule_judge import NAMED, ByRule


@pytest.mark.processes
@pytest.mark.parametrize(
    ("make", "writes", "more"), [(killed.make_report, 2, 2), (killed.make_export, 3, 3), (killed.make_saes, 4, 2)]
)
def test_a_stage_that_is_killed_again_and_again_ends_with_the_same_bytes(make, writes, more, study, tmp_path) -> None:
    make(tmp_path / "whole", study)
    kills = killed.make_with_kills(make, tmp_path / "killed", study, writes, more)
    assert kills >= 2
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert not (tmp_path / "killed.partial").exists()


@pytest.mark.processes
@pytest.mark.parametrize("file", ["llm-openai-0.parquet", "sentences-0.parquet.new", "sentences-1.parquet.new"])
def test_explanations_killed_with_half_of_a_file_written_end_with_the_same_bytes(file, study, tmp_path, quiet) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    whole = explain(dying.EXPLAIN, records, tmp_path / "whole", quiet, NAMED, ByRule())
    process = forking().Process(target=dying.explain_and_die, args=(records.path, tmp_path / "killed", file, True))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "killed.partial" / file).is_file()
    again = explain(dying.EXPLAIN, records, tmp_path / "killed", quiet, NAMED, ByRule())
    assert again.manifest["outputs"] == whole.manifest["outputs"]


def test_half_a_tokenizer_of_a_killed_run_is_made_again(corpus_config, tokens, tmp_path, quiet, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    class Half:
        def save(self, path: str) -> None:
            Path(path).write_text('{"version": "1.0", "trunc')
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("cratelm.corpus.tokens.make_tokenizer", lambda *given: make_tokenizer(*given) and Half())
        tokenize(corpus_config, tmp_path / "a", quiet)
    assert tokenize(corpus_config, tmp_path / "a", quiet).manifest["outputs"] == tokens.manifest["outputs"]


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "log" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
