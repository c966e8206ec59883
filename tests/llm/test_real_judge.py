"""Judges that are real: behind a server process, and a language model out of a file."""

import json
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from multiprocessing import Pipe
from pathlib import Path

import gguf
import httpx
import numpy as np
import pytest
import torch

from cratelm.cli import run
from cratelm.judges import prompts
from cratelm.judges.simulators import Question, simulate
from cratelm.llm.local import LocalModel
from cratelm.llm.server import Server
from tests import language_models
from tests.forking import forking
from tests.model_server import serve


@pytest.fixture
def served(tmp_path: Path):
    """A process that serves a random GPT-2 by OpenAI's protocol, and the model's folder."""
    language_models.random_gpt2(n_positions=1536).save_pretrained(tmp_path / "judge")
    language_models.bytes_tokenizer().save_pretrained(tmp_path / "judge")
    ours, theirs = Pipe(duplex=False)
    process = forking().Process(target=serve, args=(tmp_path / "judge", theirs))
    process.start()
    theirs.close()
    yield f"http://127.0.0.1:{ours.recv()}/v1", tmp_path / "judge", process
    process.kill()
    process.join()


@pytest.mark.processes
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


@pytest.mark.processes
def test_a_server_process_that_dies_between_requests_is_named(served, monkeypatch) -> None:
    url, _, process = served
    judge = Server(url, timeout=5, attempts=2)
    process.kill()
    process.join()
    began = time.monotonic()
    with pytest.raises(Exception, match="did not answer in 2 attempts"):
        list(judge.texts(["a"], 2))
    assert time.monotonic() - began < 30
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/models", timeout=1)


@pytest.fixture
def short_puzzles(tmp_path: Path) -> Path:
    """Two of the package's puzzles, two sentences each: enough to be tried and to fail."""
    puzzles = json.loads(files("cratelm.judges").joinpath("puzzles.json").read_text())
    units = [unit | {"sentences": unit["sentences"][:2]} for unit in puzzles["units"][:2]]
    (tmp_path / "puzzles.json").write_text(json.dumps(puzzles | {"units": units}))
    return tmp_path / "puzzles.json"


@pytest.fixture(scope="module")
def read_once() -> Iterator[None]:
    """transformers reads the 262,144 tokens of the file's header three times to load a model, 15 seconds each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gguf.GGUFReader", cache(gguf.GGUFReader))
        yield


@pytest.fixture(scope="module")
def loaded(gemma: Path, read_once: None) -> LocalModel:
    """The language model, loaded once: that takes most of the time that its tests take."""
    return LocalModel(gemma)


@pytest.mark.judge
def test_a_real_model_reads_strengths_as_one_forward_of_each_prompt_does_and_answers_in_text(
    loaded: LocalModel,
) -> None:
    judge = loaded
    assert judge.cannot == {}
    tokens = (" The", " red", "\t", "<E2>", "</tokens>", " door")
    asked = [prompts.all_at_once(text, tokens) for text in ("names of colours", "names of tools")]
    found = dict(judge.digits([prompt for prompt, _ in asked], [places for _, places in asked]))
    for number, (prompt, places) in enumerate(asked):
        encoded = judge.tokenizer(prompt, return_offsets_mapping=True)
        with torch.inference_mode():
            logits = judge.network(torch.tensor([encoded["input_ids"]])).logits[0]
        for place, share in zip(places, found[number], strict=True):
            at = next(k for k, (begin, _) in enumerate(encoded["offset_mapping"]) if begin == place) - 1
            digits = [judge.tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"]
            torch.testing.assert_close(
                torch.tensor(share).float(), logits[at, digits].softmax(-1), atol=1e-5, rtol=1e-3
            )
    ((_, said),) = judge.texts([prompts.listing("names of colours", tokens)], 12)
    assert said.strip()


@pytest.mark.judge
def test_a_language_model_out_of_a_gguf_file_explains_and_scores_and_its_answers_replay(
    gemma, loaded, study, short_puzzles, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("cratelm.llm.local.LocalModel", lambda path: loaded)
    records, said = str(tmp_path / "records"), str(tmp_path / "said")
    one_layer = ["--sites", "model.layers.1.coding.code", "--tokens", "3000", "--out", records]
    few = ["--top", "1", "--short-random", "1", "--interval", "1", "--other", "1"]  # short prompts
    assert run(["record", str(study / "models" / "crate"), "--text", str(study / "tokens"), *one_layer, *few]) == 0
    judge = ["--llm", str(gemma), "--answers", str(tmp_path / "answers.sqlite")]
    explain = ["explain", records, "--out", said, "--explainer", "llm", "--llm-units", "2", *judge]
    assert run(explain) == 0
    score = ["score", records, "--explanations", said, "--metric", "random-only", "--puzzles", str(short_puzzles)]
    tables, answered = [], []
    for name in ("first", "again"):
        if name == "again":
            monkeypatch.undo()  # answers replay for the same model loaded again
        capsys.readouterr()
        assert run([*score, *judge, "--out", str(tmp_path / name), "--json"]) == 0
        tables.append(json.loads(capsys.readouterr().out))
        with sqlite3.connect(tmp_path / "answers.sqlite") as answers:
            answered.append(answers.execute("SELECT count(*) FROM answers").fetchone())
    assert tables[0] == tables[1]
    assert answered[0] == answered[1]
    rows = [row for row in tables[0] if row["explainer"] == "llm" and row["layer"] != "all"]
    assert [(row["layer"], row["metric"], row["units"]) for row in rows] == [(0, "random-only", 2)]
    assert all(-1 <= row["score"]["mean"] <= 1 for row in rows)
