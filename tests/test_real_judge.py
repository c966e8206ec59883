"""A judge behind a real server process."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from cratelm.judges.simulators import Question, simulate
from cratelm.llm.local import LocalModel
from cratelm.llm.server import Server
from tests import language_models


@pytest.fixture
def served(tmp_path: Path):
    """A process that serves a random GPT-2 by OpenAI's protocol, and the model's folder."""
    language_models.random_gpt2(n_positions=1536).save_pretrained(tmp_path / "judge")
    language_models.bytes_tokenizer().save_pretrained(tmp_path / "judge")
    command = [sys.executable, "-m", "tests.model_server", str(tmp_path / "judge")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    yield f"http://127.0.0.1:{port}/v1", tmp_path / "judge", process
    process.kill()
    process.wait()


def test_a_model_reads_the_same_behind_a_server_process_as_in_this_one(served) -> None:
    url, folder, _ = served
    here, there = LocalModel(folder), Server(url, timeout=60)
    assert set(there.cannot) == {"chat"}
    questions = [Question("x", ("a", "\t", "é", " <tokens>")), Question("y y", ("film", "\n"))]
    for simulator in ("all-at-once", "token-by-token"):
        mine, theirs = dict(simulate(simulator, here, questions)), dict(simulate(simulator, there, questions))
        for number in range(len(questions)):
            np.testing.assert_allclose(mine[number], theirs[number], atol=1e-3)
    assert dict(here.texts(["a b"], 6)) == dict(there.texts(["a b"], 6))


def test_a_server_process_that_dies_between_requests_is_named(served, monkeypatch) -> None:
    url, _, process = served
    judge = Server(url, timeout=5, attempts=2)
    process.kill()
    process.wait()
    began = time.monotonic()
    with pytest.raises(Exception, match="did not answer in 2 attempts"):
        list(judge.texts(["a"], 2))
    assert time.monotonic() - began < 30
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/models", timeout=1)
