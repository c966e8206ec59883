"""A judge behind any server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama, and others.

What a server can do, and which names it has for it, differs; so it is probed at the start. Only the host that was named
is ever spoken to (client.py). The key comes from the environment, CRATELM_LLM_KEY, and goes nowhere but to that host.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from cratelm.errors import InputError, RunError
from cratelm.llm.client import KEY, Refused, Unreachable, connect, named_errors
from cratelm.llm.model import DIGITS, STOP, Failure, Shares
from cratelm.llm.threads import side_by_side
from cratelm.llm.words import CUT_OFF, chat_text, chat_words, reasons_unopened, words

TOP = 15
"""Log-probabilities asked for at a place; OpenAI's own number."""
CHAT, COMPLETIONS = "/chat/completions", "/completions"
PROBE_ATTEMPTS = 2
"""How often a probe is sent: once more for a fault that passes, and no more for an ability that is missing."""
PROBE_TOKENS = 256
"""Enough for a reasoning model to end its reasoning about a probe, which shows whether it has tags."""
SPENT = "output limit was reached"
"""OpenAI's own models answer so, with status 400, where reasoning took all tokens."""


@dataclass(frozen=True)
class Dialect:
    """How a route of a server names its settings."""

    limit: tuple[str, ...]
    """Names of the limit on tokens, those that were refused left out; the first is used."""
    temperature: bool = True
    """Whether a temperature may be set."""

    def settings(self, tokens: int) -> dict[str, Any]:
        """The settings of one request."""
        return {self.limit[0]: tokens} | ({"temperature": 0} if self.temperature else {})

    def without(self, said: str) -> "Dialect | None":
        """The dialect that avoids what an error complains of; None where it can avoid nothing."""
        if self.limit[0] in said and self.limit[1:]:
            return replace(self, limit=self.limit[1:])
        return replace(self, temperature=False) if self.temperature and "temperature" in said else None


class Server:
    """One model of one server."""

    def __init__(
        self, url: str, model: str | None = None, concurrency: int = 8, timeout: float = 120, attempts: int = 6
    ) -> None:
        """Probe the server at `url`, such as http://localhost:8000/v1; `timeout` in seconds bounds a whole answer.

        Raises InputError for an address that cannot be used, RunError where the server does not answer.
        """
        self.url, self.concurrency = _address(url), concurrency
        self._client = connect(self.url, os.environ.get(KEY, ""), timeout, concurrency, attempts)
        # Newer models of OpenAI know the second name alone, and most other servers the first alone.
        self._dialects = {
            CHAT: Dialect(("max_tokens", "max_completion_tokens")),
            COMPLETIONS: Dialect(("max_tokens",)),
        }
        self._unopened = False
        self._least = 0
        self.model = model or self._first_model()
        self.name = f"{self.url} {self.model}"
        self.cannot = self._probe()

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str | Failure]]:
        """As LanguageModel.texts."""
        ask = self._continued if "chat" in self.cannot else self._chat
        return self._all(lambda prompt: ask(prompt, limit), prompts)

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """As LanguageModel.digits."""
        return self._all(lambda question: self._digits(*question), list(zip(prompts, places, strict=True)))

    def _all(self, ask: Callable[[Any], Any], questions: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        try:
            yield from side_by_side(ask, questions, self.concurrency)
        except Refused as error:
            raise RunError(f"{self.url} refused a prompt: {error}.") from error

    def _chat(self, prompt: str, limit: int) -> str | Failure:
        def read(answer: Any) -> str | Failure:
            return chat_words(_choice(answer), self._unopened)

        try:
            return self._send(CHAT, limit, _message(prompt), read)
        except Refused as error:
            if SPENT in error.said:
                return Failure(CUT_OFF)
            raise

    def _continued(self, prompt: str, limit: int) -> str | Failure:
        """What follows a prompt, of a model without a chat template. It would go on after its answer, hence STOP.

        A chat is sent no STOP: servers look for it in the reasoning as well, and end the answer before it begins.
        """

        def read(answer: Any) -> str | Failure:
            return words(_choice(answer).get("text") or "", _choice(answer).get("finish_reason") == "length")

        return self._send(COMPLETIONS, limit, _continuation(prompt), read)

    def _digits(self, prompt: str, places: Sequence[int]) -> Shares:
        rest = {"prompt": prompt, "logprobs": TOP}
        if list(places) == [len(prompt)]:
            return self._send(COMPLETIONS, 1, rest, lambda answer: [shares(_logprobs(answer)["top_logprobs"][0])])
        return self._send(COMPLETIONS, self._least, rest | {"echo": True}, lambda answer: _at(answer, prompt, places))

    def _send(self, route: str, tokens: int, rest: dict[str, Any], read: Callable[[Any], Any]) -> Any:
        """One request; `read` takes what is wanted from the answer, and Refused says that it has another form."""
        body = {"model": self.model} | self._dialects[route].settings(tokens) | rest
        with named_errors(self._client.max_retries + 1):
            # As plain JSON: the client's types know no `reasoning_content`, and cost more than the request.
            answer = self._client.post(route, body=body, cast_to=object)
        return _read(answer, read)

    def _first_model(self) -> str:
        try:
            with named_errors(self._client.max_retries + 1):
                answer = self._client.get("/models", cast_to=object)
            return str(_read(answer, lambda answer: answer["data"][0]["id"]))
        except Refused as error:
            raise InputError(f"{self.url} does not list its models ({error}): name one with --llm-model.") from error

    def _probe(self) -> dict[str, str]:
        """What the server cannot do, found out with a prompt of a few characters each."""
        patient, self._client = self._client, self._client.with_options(max_retries=PROBE_ATTEMPTS - 1)
        failed: dict[str, Exception] = {}
        self._try("chat", self._probe_chat, failed)
        busy = failed.get("chat")
        if isinstance(busy, Unreachable) and busy.busy:
            raise busy  # else a model that can chat would be asked to continue texts, unknown to anybody
        self._try("places", self._probe_places, failed)
        self._try("next", lambda: self._adapted(COMPLETIONS, lambda: self._digits("1, 2, 3,", [8])), failed)
        if "chat" in failed:
            self._try("text", self._probe_text, failed)
        self._client = patient
        if {"text", "places", "next"} <= failed.keys():
            _raise_common(list(failed.values()))
        return {ability: getattr(error, "reason", str(error)) for ability, error in failed.items()}

    def _try(self, ability: str, attempt: Callable[[], Any], failed: dict[str, Exception]) -> None:
        """A probe that fails in any way says that this ability is missing, and nothing of the others."""
        try:
            attempt()
        except (Refused, RunError, InputError) as error:
            if isinstance(error, Unreachable) and not error.connected:
                raise  # nobody listens, whatever is asked
            failed[ability] = error

    def _probe_chat(self) -> None:
        def read(answer: Any) -> None:
            self._unopened = reasons_unopened(chat_text(answer["choices"][0]["message"]))

        try:
            self._adapted(CHAT, lambda: self._send(CHAT, PROBE_TOKENS, _message("Say yes."), read))
        except Refused as error:
            if SPENT not in error.said:
                raise

    def _probe_text(self) -> None:
        def read(answer: Any) -> str:
            return answer["choices"][0]["text"]

        self._adapted(COMPLETIONS, lambda: self._send(COMPLETIONS, 1, _continuation("Yes"), read))

    def _probe_places(self) -> None:
        def attempt() -> Shares:
            return self._adapted(COMPLETIONS, lambda: self._digits("7\t1\n8\t2\n", [2, 6]))

        try:
            attempt()
        except (Refused, Unreachable) as error:
            if error.said is None:
                raise
            self._least = 1  # some servers echo a prompt only if they may add a token
            attempt()

    def _adapted(self, route: str, attempt: Callable[[], Any]) -> Any:
        """Attempt a request, again in another dialect where the error names a setting that can be avoided."""
        while True:
            try:
                return attempt()
            except (Refused, Unreachable) as error:
                other = self._dialects[route].without(error.said or "")
                if other is None:
                    raise
                self._dialects[route] = other


def _address(url: str) -> str:
    """The address without a slash at its end; InputError where it is none, and never with the password in it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"--llm needs http(s)://HOST[:PORT]/v1 without a password; the key goes into ${KEY}.")
    return url.rstrip("/")


def _raise_common(errors: Sequence[Exception]) -> None:
    """Raise what keeps every ability away: a key, a redirect, a server that is broken as a whole."""
    for kind in (InputError, RunError):
        for error in errors:
            if isinstance(error, kind):
                raise error


def _message(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


def _read(answer: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(answer)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise Refused(f"its answer lacks {error}") from error


def _continuation(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "stop": [STOP]}


def _choice(answer: Any) -> dict[str, Any]:
    """The answer's choice, an empty one where it has none: no words, which is a failure that is counted."""
    return (answer.get("choices") or [{}])[0]


def _logprobs(answer: Any) -> Any:
    logprobs = _choice(answer).get("logprobs")
    if not logprobs or not logprobs["top_logprobs"]:
        raise KeyError("log-probabilities")
    return logprobs


def _at(answer: Any, prompt: str, places: Sequence[int]) -> Shares:
    """The shares at characters of an echoed prompt; None where no token begins at one."""
    logprobs = _logprobs(answer)
    if len(logprobs["text_offset"]) < 2:
        raise KeyError("the prompt's log-probabilities")
    before = _counted_before(logprobs, prompt)
    offsets = [offset - before for offset in logprobs["text_offset"]]
    begins = dict(zip(offsets, logprobs["top_logprobs"], strict=False))
    return [shares(begins.get(place)) for place in places]


def _counted_before(logprobs: Any, prompt: str) -> int:
    """Characters counted before the prompt: vLLM counts a first token such as `<bos>`, and does not echo it."""
    first = (logprobs.get("tokens") or [""])[0].lstrip("▁ ")
    return 0 if prompt.lstrip().startswith(first) else logprobs["text_offset"][1] - logprobs["text_offset"][0]


def shares(top: dict[str, float] | None) -> list[float] | None:
    """The probabilities of DIGITS among the most likely tokens, adding up to 1; None where there is no digit."""
    likely = [math.exp(top[digit]) if top and digit in top else 0.0 for digit in DIGITS]
    total = sum(likely)
    return [value / total for value in likely] if total > 0 else None
