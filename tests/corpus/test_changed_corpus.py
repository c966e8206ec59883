"""A corpus that changes between the runs of a tokenization, or during one: its tokens are of one text or of none."""

from pathlib import Path

import pytest

from cratelm.corpus.token_shards import ShardWork
from cratelm.corpus.tokens import tokenize
from cratelm.errors import InputError
from tests.conftest import sentences
from tests.corpus.test_readers import write
from tests.test_shards import folder_of_shards


def rewrite_a_file(corpus: Path) -> None:
    write(corpus / "04.jsonl.zst", sentences(90))


def add_a_file(corpus: Path) -> None:
    write(corpus / "05.jsonl.zst", sentences(90))


def remove_a_file(corpus: Path) -> None:
    (corpus / "04.jsonl.zst").unlink()


CHANGES = [(rewrite_a_file, "04.jsonl.zst"), (add_a_file, "05.jsonl.zst"), (remove_a_file, "the list of its files")]


@pytest.mark.parametrize(("change", "named"), CHANGES)
def test_a_stopped_run_does_not_go_on_with_another_text(change, named, tmp_path, quiet, monkeypatch) -> None:
    config = folder_of_shards(tmp_path / "corpus", monkeypatch)

    def dies(self: ShardWork, number: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ShardWork, "__call__", dies)
        tokenize(config, tmp_path / "a", quiet)
    change(tmp_path / "corpus")
    with pytest.raises(InputError, match=f"is not the text that .*a.partial was begun with: {named} has changed"):
        tokenize(config, tmp_path / "a", quiet)
    assert (tmp_path / "a.partial" / "tokenizer.json").is_file()


def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path, quiet, monkeypatch) -> None:
    config, honest = folder_of_shards(tmp_path / "corpus", monkeypatch), ShardWork.__call__

    def change(self: ShardWork, number: int) -> None:
        if number == 3:
            rewrite_a_file(tmp_path / "corpus")
        honest(self, number)

    monkeypatch.setattr(ShardWork, "__call__", change)
    with pytest.raises(InputError, match=r"04.jsonl.zst has changed"):
        tokenize(config, tmp_path / "a", quiet)
