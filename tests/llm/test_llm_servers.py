"""Judges behind servers that differ: answers without words, reasoning, refused settings, failing probes, the client."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cratelm.cli import run
from cratelm.errors import InputError, RunError
from cratelm.judges.ask_for_explanations import parse_explanation
from cratelm.judges.choices import choose
from cratelm.judges.simulators import Question, simulate
from cratelm.llm.cache import Answers, Cached
from cratelm.llm.client import KEY
from cratelm.llm.config import AskingConfig, JudgeConfig, open_judge
from cratelm.llm.model import Failure
from cratelm.llm.planned_requests import CHARACTERS, Planned
from cratelm.llm.server import PROBE_TOKENS, Server
from cratelm.llm.words import CUT_OFF, words
from tests.llm_server import StandIn

QUESTION = Question("heat", ("A", " hot", " day"))
HEARD = [0, 9, 0]
EMPTY: list[tuple[dict[str, Any], str]] = [
    ({"message": {"content": None}}, "no words"),
    ({"message": {"content": ""}}, "no words"),
    ({"message": {"content": " \n\t"}}, "no words"),
    ({"message": {}}, "no words"),
    ({"message": None}, "no words"),
    ({"message": {"content": None, "refusal": "I cannot help with that."}}, "the model refused to answer"),
    ({"message": {"content": "A hot"}, "finish_reason": "content_filter"}, "held back by the server's content filter"),
    ({"message": {"content": None, "reasoning_content": "Heat is"}}, "no words after its reasoning"),
    ({"message": {"content": None, "reasoning": "Heat is"}, "finish_reason": "length"}, CUT_OFF),
    ({"message": {"content": ""}, "finish_reason": "length"}, CUT_OFF),
    ({"message": {"content": "<think>\nHeat is"}, "finish_reason": "length"}, CUT_OFF),
]


@pytest.fixture
def chat() -> Iterator[StandIn]:
    """A server that can chat, and nothing else."""
    server = StandIn(("chat",))
    yield server
    server.shutdown()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A server that can do all that is asked of it."""
    server = StandIn()
    yield server
    server.shutdown()


@pytest.mark.parametrize(("said", "reason"), EMPTY)
def test_an_answer_without_words_is_a_failure_that_says_why(chat: StandIn, said: dict[str, Any], reason: str) -> None:
    judge = Server(chat.url)
    chat.said = said
    assert dict(judge.texts(["what does it respond to?"], 5)) == {0: Failure(reason)}
    for simulator in ("listing", "log-probability-free"):
        assert dict(simulate(simulator, judge, [QUESTION])) == {0: Failure(reason)}, "and never zeros"
    assert dict(choose(judge, ["Answer:\t"], "01")) == {0: Failure(reason)}


def test_an_answer_in_parts_is_its_text_without_the_parts_that_reason(chat: StandIn) -> None:
    judge = Server(chat.url)
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Heat?"}]}, {"type": "text", "text": "hot"}]
    chat.said = {"message": {"content": parts}}
    assert dict(judge.texts(["x"], 5)) == {0: "hot"}


def test_a_failure_is_kept_and_replayed_like_any_other_answer(chat: StandIn, tmp_path: Path) -> None:
    judge = Cached(Server(chat.url), Answers(tmp_path / "answers.sqlite"))
    chat.said = {"message": {"content": None}}
    seen = len(chat.seen)
    for _ in range(2):
        assert dict(judge.texts(["x"], 5)) == {0: Failure("no words")}
    assert len(chat.seen) - seen == 1


def validated(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """What `cratelm validate listing` says of a server."""
    unit = {"name": "hot", "explanation": "heat", "false_explanations": ["cold", "wet", "dry"]}
    puzzles = {"units": [unit | {"sentences": ["a [hot|9] day", "the [hot|9] door", "a blue hat"]}]}
    (tmp_path / "mine.json").write_text(json.dumps(puzzles))
    files = ["--puzzles", str(tmp_path / "mine.json"), "--answers", str(tmp_path / "answers.sqlite")]
    assert run(["validate", "listing", "--llm", url, *files, "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_answers_without_words_are_counted_by_reason_for_people(chat: StandIn, tmp_path: Path, capsys) -> None:
    chat.said = {"message": {"content": None}}
    assert validated(chat.url, tmp_path, capsys)["failures"] == {"no words": 15}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nIt is hot.\n\nSo.\n</think>\n\nheat", "heat"),
        ("<think></think>heat", "heat"),
        (" <THINKING>a</THINKING>\nheat", "heat"),
        ("<think>a</think>\n<think>b</think>\nheat", "heat"),
        ("[THINK]a[/THINK]heat", "heat"),
        ("It is hot.\n\nSo.\n</think>\n\nheat\n\nmore", "heat"),
        ("red | </think> | blue", "red | </think> | blue"),
        ("words such as <think>", "words such as <think>"),
        (" heat\n\nmore", " heat"),
        ("\n\nheat", "heat"),
        ("<think>\n\n</think>\n \t5\nheat\t0", " \t5\nheat\t0"),
        ("<think>It is", Failure(CUT_OFF)),
        ("<think>It is</thinking>", Failure(CUT_OFF)),
        ("<think>It is hot.</think>\n", Failure("no words")),
    ],
)
def test_the_reasoning_before_an_answer_is_left_out(text: str, expected: str | Failure) -> None:
    assert words(text) == expected


REASONING = ["<think>\nHeat? The\n\ntext says so.\n</think>\n\n", "Heat? The\n\ntext says so.\n</think>\n\n"]


@pytest.mark.parametrize("reasoning", REASONING)
def test_a_model_that_reasons_is_heard_once_its_limit_leaves_room(
    reasoning: str, chat: StandIn, tmp_path: Path, capsys
) -> None:
    chat.reasoning = reasoning
    starved = validated(chat.url, tmp_path, capsys, "--llm-max-tokens", "4")
    assert starved["failures"] == {CUT_OFF: 15}
    assert "--llm-max-tokens" in CUT_OFF, "what to do is said where the failures are counted"
    heard = validated(chat.url, tmp_path, capsys, "--llm-max-tokens", "4000")
    assert not heard["failures"]
    assert heard["puzzles"][0]["correlation"] == pytest.approx(1)
    limits = [body.get("max_tokens") for _, body, _ in chat.seen if body.get("messages")]
    assert set(limits) == {PROBE_TOKENS, 4, 4000}


def test_a_limit_that_allows_nothing_is_refused(capsys) -> None:
    assert run(["validate", "listing", "--llm", "http://127.0.0.1:1/v1", "--llm-max-tokens", "0"]) == 2
    assert "--llm-max-tokens. It must be 1 or more" in capsys.readouterr().err


def test_the_limit_is_part_of_the_plan_and_of_the_question(chat: StandIn, tmp_path: Path) -> None:
    planned = Planned(4000)
    list(planned.texts(["x" * 40], 48))
    assert planned.plan(0).tokens == 40 // CHARACTERS + 4000
    answers = Answers(tmp_path / "answers.sqlite")
    for limit in (None, 4000, 48, 4000):
        dict(Cached(Server(chat.url), answers, limit).texts(["Text: hot"], 48))
    asked = [body["max_tokens"] for _, body, _ in chat.seen if body["max_tokens"] in (48, 4000)]
    assert asked == [48, 4000], "none is asked twice, and the question's own limit is the same question as before"


def test_reasoning_in_a_file_of_answers_from_before_is_left_out(tmp_path: Path) -> None:
    class Silent:
        name, cannot = "silent", {}

    answers = Answers(tmp_path / "answers.sqlite")
    answers.put("<think>\na\n</think>\nheat", "text", "silent", "finished", 60)
    answers.put("<think>\nOkay, so", "text", "silent", "unfinished", 60)
    judge = Cached(Silent(), answers)  # type: ignore[arg-type]
    assert dict(judge.texts(["finished", "unfinished"], 60)) == {0: "heat", 1: Failure(CUT_OFF)}
    assert parse_explanation("heat") == "heat"


@pytest.mark.parametrize("refused", [("max_tokens",), ("temperature",), ("max_tokens", "temperature")])
def test_a_refused_setting_is_avoided_from_the_probe_on(chat: StandIn, refused: tuple[str, ...]) -> None:
    chat.refused = refused
    judge = Server(chat.url)
    assert set(judge.cannot) == {"places", "next"}
    probes = [body for path, body, _ in chat.seen if path.endswith("/chat/completions")]
    assert len(probes) == len(refused) + 1, "each setting is given up once"
    seen = len(chat.seen)
    assert dict(simulate("listing", judge, [QUESTION, QUESTION])) == {0: HEARD, 1: HEARD}
    asked = [body for _, body, _ in chat.seen[seen:]]
    assert len(asked) == 2
    for body in asked:
        assert not set(refused) & set(body)
        assert body.get("max_completion_tokens" if "max_tokens" in refused else "max_tokens") == 48


def test_settings_that_are_not_refused_stay_as_they_are(stand_in: StandIn) -> None:
    dict(Server(stand_in.url).texts(["x"], 5))
    body = stand_in.seen[-1][1]
    assert set(body) == {"model", "max_tokens", "temperature", "messages"}
    assert (body["max_tokens"], body["temperature"]) == (5, 0)


def test_a_limit_that_reasoning_used_up_is_a_failure_whether_the_server_calls_it_an_error_or_not(chat: StandIn) -> None:
    chat.faults = ["spent", "spent"]
    judge = Server(chat.url)
    assert set(judge.cannot) == {"places", "next"}, "a probe that was starved says that the model can chat"
    chat.faults = ["spent"]
    assert dict(judge.texts(["x"], 5)) == {0: Failure(CUT_OFF)}


FAULTS = ["400", "403", "404", "500", "501", "429", "closed", "half", "nonsense", "silence", "redirect", "packed"]
FORMS = ["error", "another form"]


@pytest.mark.parametrize("fault", FAULTS + FORMS)
@pytest.mark.parametrize(("ability", "lost"), [("echo", {"places"}), ("logprobs", {"next"})])
def test_a_probe_that_fails_in_any_way_takes_that_ability_alone(
    stand_in: StandIn, fault: str, ability: str, lost: set[str]
) -> None:
    stand_in.broken = {ability: fault}
    judge = Server(stand_in.url, timeout=0.5)
    assert set(judge.cannot) == lost
    probes = [
        body for _, body, _ in stand_in.seen if bool(body.get("echo")) == (ability == "echo") and "prompt" in body
    ]
    assert len(probes) <= 4
    stand_in.broken = {}
    assert dict(simulate("listing", judge, [QUESTION])) == {0: HEARD}
    with pytest.raises(InputError, match="cannot be asked of"):
        simulate({"echo": "all-at-once", "logprobs": "token-by-token"}[ability], judge, [QUESTION])


@pytest.mark.parametrize("first", ["", "<bos>", "<|begin_of_text|>"])
def test_a_token_that_a_server_counts_before_an_echoed_prompt_moves_no_place(stand_in: StandIn, first: str) -> None:
    stand_in.first = first
    judge = Server(stand_in.url)
    by_token = dict(simulate("token-by-token", judge, [QUESTION]))
    assert by_token == {0: HEARD}
    assert dict(simulate("all-at-once", judge, [QUESTION])) == by_token


@pytest.mark.parametrize("fault", ["429", "silence"])
def test_a_server_that_is_too_busy_to_chat_is_not_taken_for_one_that_cannot(stand_in: StandIn, fault: str) -> None:
    stand_in.broken = {"chat": fault}
    with pytest.raises(RunError, match=r"chat/completions did not answer in 2 attempts"):
        Server(stand_in.url, timeout=0.5)
    stand_in.broken = {}
    assert Server(stand_in.url).cannot == {}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("429", "silence")])
def test_a_server_whose_chat_is_broken_is_asked_to_continue_a_text(stand_in: StandIn, fault: str) -> None:
    stand_in.broken = {"chat": fault}
    judge = Server(stand_in.url, timeout=0.5)
    assert set(judge.cannot) == {"chat"}
    assert dict(simulate("listing", judge, [QUESTION])) == {0: HEARD}


@pytest.mark.parametrize(("fault", "error"), [("500", RunError), ("closed", RunError), ("401", InputError)])
def test_a_server_that_fails_every_probe_is_named_as_broken(stand_in: StandIn, fault: str, error: type) -> None:
    stand_in.broken = dict.fromkeys(("chat", "echo", "logprobs", "text"), fault)
    with pytest.raises(error, match=stand_in.url):
        Server(stand_in.url)


def test_a_server_that_names_no_model_says_what_to_do(stand_in: StandIn, monkeypatch) -> None:
    monkeypatch.setattr(stand_in.RequestHandlerClass, "do_GET", lambda handler: handler.send(404, {"error": "?"}))
    with pytest.raises(InputError, match=r"does not list its models \(status 404.*--llm-model"):
        Server(stand_in.url)
    assert Server(stand_in.url, "rules").cannot == {}


def test_nothing_in_the_environment_changes_where_or_what_is_sent(stand_in: StandIn, monkeypatch) -> None:
    elsewhere = "http://127.0.0.1:1"
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, elsewhere)
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, f"secret-{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer secret\nHost: secret\nX-Mine: secret")
    monkeypatch.delenv(KEY, raising=False)
    dict(Server(stand_in.url).texts(["Text: hot"], 5))
    names = {"Host", "Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Content-Length"}
    assert stand_in.seen
    for _, _, headers in stand_in.seen:
        assert {name.title() for name in headers} == names
        assert "secret" not in str(headers)
        assert headers["Host"] == f"127.0.0.1:{stand_in.server_port}"


def test_the_key_is_in_no_line_of_any_log(stand_in: StandIn, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(KEY, "sk-very-secret")
    with caplog.at_level(logging.DEBUG):
        judge = Server(stand_in.url)
        stand_in.faults = ["500", "echoes the key"]
        with pytest.raises(RunError):
            list(judge.texts(["x"], 5))
    assert caplog.records
    assert "sk-very-secret" not in caplog.text


def test_an_answer_that_trickles_is_given_up_after_its_time(stand_in: StandIn) -> None:
    judge = Server(stand_in.url, timeout=0.5, attempts=1)
    stand_in.faults = ["trickle"]
    began = time.monotonic()
    with pytest.raises(RunError, match=r"more than 0.5 s"):
        list(judge.texts(["x"], 5))
    assert time.monotonic() - began < 2


def test_an_answer_that_is_packed_is_refused_before_it_is_unpacked(stand_in: StandIn) -> None:
    judge = Server(stand_in.url)
    stand_in.faults = ["packed"]
    with pytest.raises(RunError, match="compressed"):
        list(judge.texts(["x"], 5))


def test_an_error_under_the_status_of_a_success_is_asked_again_and_not_kept(stand_in: StandIn) -> None:
    judge = Server(stand_in.url)
    stand_in.faults = ["error"]
    assert dict(judge.texts(["Text: hot"], 5)) == {0: "hot"}


def test_a_run_that_ends_does_not_wait_for_a_request_that_was_told_to_wait(stand_in: StandIn) -> None:
    judge = Server(stand_in.url, concurrency=2)
    stand_in.faults = ["later", "400"]
    began, seen = time.monotonic(), len(stand_in.seen)
    with pytest.raises(RunError, match="refused a prompt"):
        list(judge.texts(["x", "y", "z"], 5))
    assert time.monotonic() - began < 10
    assert len(stand_in.seen) - seen == 2, "nothing more is sent"


def test_a_missing_client_is_one_line_that_says_how_to_install_it(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    answers = ["--answers", str(tmp_path / "answers.sqlite")]
    assert run(["validate", "listing", "--llm", "http://127.0.0.1:1/v1", *answers]) == 2
    assert capsys.readouterr().err.count("pip install 'cratelm[llm]'") == 1


def test_a_server_that_nobody_runs_is_named_without_a_probe_of_each_ability(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    config = JudgeConfig(llm="http://127.0.0.1:1/v1", llm_model="rules")
    with pytest.raises(RunError, match=r"127.0.0.1:1/v1/chat/completions did not answer in 2 attempts; .*ConnectError"):
        open_judge(config, AskingConfig(answers=tmp_path / "answers.sqlite"))
