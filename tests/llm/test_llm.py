"""Judges: servers that misbehave, the cache, models in this process."""

import json
import sqlite3
import time
from pathlib import Path

import pytest
import torch

from cratelm.errors import InputError, RunError
from cratelm.llm import client
from cratelm.llm.cache import Answers, Cached
from cratelm.llm.client import KEY
from cratelm.llm.config import AskingConfig, JudgeConfig, open_judge
from cratelm.llm.local import LocalModel, token_before
from cratelm.llm.server import Server, shares
from tests import language_models
from tests.llm_server import StandIn


@pytest.fixture
def stand_in():
    """A server that can do all that is asked of it."""
    server = StandIn()
    yield server
    server.shutdown()


def test_a_server_gives_the_shares_of_digits_at_characters_of_a_prompt(stand_in: StandIn) -> None:
    judge = Server(stand_in.url)
    assert judge.cannot == {}
    prompt = "a hot\t?\ncold\t?\n"
    places = [prompt.index("?"), prompt.rindex("?")]
    ((_, found),) = judge.digits([prompt], [places])
    assert found == [[0.0] * 9 + [1.0], [1.0] + [0.0] * 9]
    ((_, found),) = judge.digits(["it is hot\t"], [[10]])
    assert found == [[0.0] * 9 + [1.0]]


def test_shares_are_renormalised_over_the_digits_and_none_without_any() -> None:
    found = shares({"1": -1.0, "3": -2.0, "10": -0.1, " 1": -0.2})
    assert found is not None
    total = 2.718281828459045**-1 + 2.718281828459045**-2
    assert found[1] == pytest.approx(2.718281828459045**-1 / total)
    assert sum(found) == pytest.approx(1)
    assert found[0] == 0
    assert shares({"10": -0.1}) is None
    assert shares(None) is None


@pytest.mark.parametrize(
    ("able", "cannot"),
    [
        (("chat",), {"places", "next"}),
        (("chat", "logprobs"), {"places"}),
        (("echo", "logprobs"), {"chat"}),
    ],
)
def test_the_probe_finds_out_what_a_server_cannot_do(able: tuple[str, ...], cannot: set[str]) -> None:
    server = StandIn(able)
    assert set(Server(server.url).cannot) == cannot
    server.shutdown()


@pytest.mark.parametrize("fault", ["429", "500", "503", "half", "nonsense", "silence"])
def test_a_fault_that_passes_costs_an_attempt_and_no_answer(fault: str, stand_in: StandIn) -> None:
    judge = Server(stand_in.url, timeout=1)
    stand_in.faults = [fault]
    before, began = len(stand_in.seen), time.monotonic()
    assert dict(judge.texts(["Text: a hotdog here"], 5)) == {0: "hotdog"}
    assert len(stand_in.seen) - before == 2
    if fault == "429":
        assert time.monotonic() - began >= 0.3, "Retry-After was not kept"


def test_a_server_that_stays_broken_is_the_runs_failure_and_is_named(stand_in: StandIn) -> None:
    judge = Server(stand_in.url, attempts=2)
    stand_in.faults = ["500"] * 10
    with pytest.raises(RunError, match=r"2 attempts; the last: status 500.*go on"):
        list(judge.texts(["x"], 5))


def test_a_redirect_is_not_followed(stand_in: StandIn) -> None:
    judge = Server(stand_in.url)
    stand_in.faults = ["redirect"]
    with pytest.raises(RunError, match="redirects"):
        list(judge.texts(["x"], 5))


def test_an_answer_without_end_is_cut_off(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Server(stand_in.url)
    monkeypatch.setattr(client, "LARGEST", 20)
    with pytest.raises(RunError, match="more than 20 bytes"):
        list(judge.texts(["x"], 5))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "http://me:secret@host/v1", "localhost:8000"])
def test_an_address_that_is_no_server_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as refused:
        Server(url)
    assert "secret" not in str(refused.value)


def test_the_key_reaches_the_server_and_nothing_else(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KEY, "sk-very-secret")
    judge = open_judge(JudgeConfig(llm=stand_in.url), AskingConfig(answers=tmp_path / "answers.sqlite"))
    dict(judge.texts(["Text: hot"], 5))
    assert all(headers["Authorization"] == "Bearer sk-very-secret" for _, _, headers in stand_in.seen)
    stand_in.faults = ["echoes the key"]
    with pytest.raises(RunError) as refused:
        list(judge.texts(["y"], 5))
    assert "sk-very-secret" not in str(refused.value)
    assert "***" in str(refused.value)
    assert not any(b"sk-very-secret" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_requests_run_side_by_side() -> None:
    server = StandIn(delay=0.2)
    judge = Server(server.url, concurrency=8)
    began = time.monotonic()
    assert len(list(judge.texts([f"{k}" for k in range(16)], 5))) == 16
    assert time.monotonic() - began < 16 * 0.2 / 2
    server.shutdown()


class Counting:
    """A judge by rule that remembers what it was asked."""

    name, cannot = "counting", {}

    def __init__(self) -> None:
        self.asked: list[str] = []

    def texts(self, prompts, limit):
        for number, prompt in enumerate(prompts):
            self.asked.append(prompt)
            if prompt == "stop":
                raise KeyboardInterrupt
            yield number, prompt.upper()

    def digits(self, prompts, places):
        for number, at in enumerate(places):
            self.asked.append(prompts[number])
            yield number, [None for _ in at]


def test_an_answer_is_asked_for_once_whatever_the_run(tmp_path: Path) -> None:
    first = Counting()
    judge = Cached(first, Answers(tmp_path / "answers.sqlite"))
    assert dict(judge.texts(["a", "b", "a"], 5)) == {0: "A", 1: "B", 2: "A"}
    assert first.asked == ["a", "b"]
    second = Counting()
    judge = Cached(second, Answers(tmp_path / "answers.sqlite"))
    assert dict(judge.texts(["b", "c"], 5)) == {0: "B", 1: "C"}
    assert second.asked == ["c"]
    assert dict(judge.texts(["b"], 6)) == {0: "B"}, "another parameter is another question"
    assert second.asked == ["c", "b"]
    assert dict(judge.digits(["a", "a"], [[1], [2]])) == {0: [None], 1: [None]}
    assert second.asked[2:] == ["a", "a"], "another place is another question"


def test_an_interrupted_run_keeps_every_answer_it_got(tmp_path: Path) -> None:
    answers = tmp_path / "answers.sqlite"
    with pytest.raises(KeyboardInterrupt):
        list(Cached(Counting(), Answers(answers)).texts(["a", "b", "stop", "c"], 5))
    again = Counting()
    assert len(dict(Cached(again, Answers(answers)).texts(["a", "b", "c"], 5))) == 3
    assert again.asked == ["c"]


def test_a_full_disk_is_the_runs_failure(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.sqlite")
    answers._file.execute("PRAGMA max_page_count = 4")
    with pytest.raises(RunError, match=r"answers.sqlite failed.*full.*go on"):
        list(Cached(Counting(), answers).texts(["x" * 5000 + str(k) for k in range(50)], 5))


def test_a_file_that_holds_no_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="cannot hold"):
        Answers(tmp_path / "answers.sqlite")


def test_answers_replay_with_no_server_and_new_questions_say_that_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = StandIn()
    config = JudgeConfig(llm=server.url), AskingConfig(answers=tmp_path / "answers.sqlite")
    assert dict(open_judge(*config).texts(["Text: hot"], 5)) == {0: "hot"}
    server.shutdown()
    server.server_close()
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    judge = open_judge(*config)
    assert dict(judge.texts(["Text: hot"], 5)) == {0: "hot"}
    with pytest.raises(RunError, match="did not answer"):
        dict(judge.texts(["Text: hotter"], 5))
    with sqlite3.connect(config[1].answers) as file:
        assert all(json.loads(row[0]) for row in file.execute("SELECT answer FROM answers"))


def test_a_place_is_found_by_character_and_lost_nowhere() -> None:
    offsets = [(0, 0), (0, 3), (3, 4), (4, 9), (9, 10)]  # a token of no characters first
    assert token_before(offsets, 4, 10) == 2
    assert token_before(offsets, 10, 10) == 4
    assert token_before(offsets, 6, 10) == -1, "a token lies across"


@pytest.fixture
def judge_folder(tmp_path: Path) -> Path:
    """A random GPT-2 with room for a prompt."""
    language_models.random_gpt2(n_positions=128).save_pretrained(tmp_path / "judge")
    language_models.bytes_tokenizer().save_pretrained(tmp_path / "judge")
    return tmp_path / "judge"


def test_the_kept_prefix_and_batches_give_what_a_forward_of_each_prompt_gives(judge_folder: Path) -> None:
    judge = LocalModel(judge_folder)
    judge.network.double()  # where batches round alike on every machine, so that the tolerance is none of its kernels'
    assert judge.cannot == {}
    shared = "rules " * 3
    prompts = [f"{shared}{text}\t?\n{text}\t?\n" for text in ("a", "bcd", "ef", "\\t", "é", "a")]
    places = [[k for k, character in enumerate(prompt) if character == "?"] for prompt in prompts]
    for _ in range(2):  # the second time with the kept prefix
        found = dict(judge.digits(prompts, places))
        for number, prompt in enumerate(prompts):
            encoded = judge.tokenizer(prompt, return_offsets_mapping=True)
            with torch.inference_mode():
                logits = judge.network(torch.tensor([encoded["input_ids"]])).logits[0]
            for place, share in zip(places[number], found[number], strict=True):
                at = next(k for k, (begin, _) in enumerate(encoded["offset_mapping"]) if begin == place) - 1
                digits = [judge.tokenizer(digit)["input_ids"][-1] for digit in "0123456789"]
                expected = logits[at, digits].softmax(-1)
                torch.testing.assert_close(torch.tensor(share, dtype=torch.float64), expected, atol=1e-10, rtol=1e-8)


def test_a_model_whose_tokenizer_joins_digits_cannot_speak_the_scale(folder: Path) -> None:
    judge = LocalModel(folder)
    tokenizer = judge.tokenizer

    def joined(text: str, **options):
        made = tokenizer(text, **options)
        return made | {"input_ids": [1, 2]} if text.endswith("7") else made

    judge.tokenizer = joined
    assert not judge._whole_digits()


def test_a_prompt_that_does_not_fit_is_refused_with_the_room_there_is(folder: Path) -> None:
    judge = LocalModel(folder)
    with pytest.raises(InputError, match=f"room for {language_models.CONTEXT}"):
        list(judge.digits(["x" * 50], [[3]]))
    with pytest.raises(InputError, match="room for"):
        list(judge.texts(["x"], 50))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "judge.gguf").write_bytes(b"GGUF" + bytes(100))
    for path in (tmp_path, tmp_path / "judge.gguf"):
        with pytest.raises(InputError, match="cannot be loaded"):
            LocalModel(path)
    with pytest.raises(InputError, match=r"no judge at .*missing\.gguf\. Give --llm"):
        LocalModel(tmp_path / "missing.gguf")
