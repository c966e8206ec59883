"""`cratelm eval --tasks`: lm-evaluation-harness on local tasks, bad input named."""

import json
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from cratelm.cli import run
from tests.language_models import (
    PASSAGES,
    successor_gpt2,
)

TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: loglikelihood
test_split: test
doc_to_text: "{{{{text.split(' ')[:-1]|join(' ')}}}}"
doc_to_target: "{{{{' '+text.split(' ')[-1]}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture(scope="module")
def listed_once() -> Iterator[None]:
    """The harness reads 14,000 files of tasks to list them."""
    tasks = pytest.importorskip("lm_eval.tasks", reason="the extra [eval] is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "TaskManager", cache(tasks.TaskManager))
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("listed_once")
def test_a_local_task_of_the_harness_agrees_with_our_last_words(folder, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    successor_gpt2({"b": " ", " ": "c", "c": "d"}).save_pretrained(folder)
    passages = [text for text in PASSAGES if text.count(" ") == 1]
    (tmp_path / "data").mkdir()
    lines = "".join(json.dumps({"text": text}) + "\n" for text in passages)
    (tmp_path / "data" / "lambada_test.jsonl").write_text(lines)
    (tmp_path / "tasks").mkdir()
    task = TASK.format(name="little_lambada", data=tmp_path / "data" / "lambada_test.jsonl")
    (tmp_path / "tasks" / "little.yaml").write_text(task)
    arguments = ["--tasks", "little_lambada", "--tasks-folder", str(tmp_path / "tasks")]
    assert run(["eval", str(folder), *arguments, "--on", "lambada", "--data", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [row] = found["tasks"]
    assert row["task"] == "little_lambada" and row["metric"] == "acc"
    assert row["value"] == found["last_word_accuracy"]["mean"] == 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("listed_once")
@pytest.mark.parametrize(
    ("task", "message"), [("littel_lambada", "no task littel_lambada"), ("lambada_openai", "HF_HUB_OFFLINE=0")]
)
def test_a_task_that_cannot_be_had_is_named(task, message, folder, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert run(["eval", str(folder), "--tasks", task]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and not captured.out


def test_tasks_without_the_extra_say_how_to_get_it(folder, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert run(["eval", str(folder), "--tasks", "x"]) == 2
    assert "pip install 'cratelm[eval]'" in capsys.readouterr().err
