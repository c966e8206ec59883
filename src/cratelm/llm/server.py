"""A judge behind any server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama, and others.

What a server can do differs, so it is probed at the start. Only the host that was named is ever spoken to, and no
redirect is followed. The key comes from the environment, CRATELM_LLM_KEY, and goes nowhere but to that host.
"""

import json
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx

from cratelm.errors import InputError, RunError
from cratelm.llm.model import DIGITS, STOP, Shares

KEY = "CRATELM_LLM_KEY"
AGAIN = (408, 429, 500, 502, 503, 504)
"""Answers after which a request is sent again."""
TOP = 15
"""Log-probabilities asked for at a place; OpenAI's own number."""
LARGEST = 32_000_000
"""Bytes of one answer."""
LONGEST_WAIT = 60.0
"""Seconds between two attempts, whatever a server asks for."""


class Refused(Exception):
    """The server understood a request and does not serve it."""


class Unreachable(RunError):
    """No answer came, after all attempts."""


class Server:
    """One model of one server."""

    def __init__(
        self, url: str, model: str | None = None, concurrency: int = 8, timeout: float = 120, attempts: int = 6
    ) -> None:
        """Probe the server at `url`, such as http://localhost:8000/v1; `timeout` in seconds bounds a whole answer.

        Raises InputError for an address that cannot be used, RunError where the server does not answer.
        """
        parts = httpx.URL(url)
        if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo:
            raise InputError(f"--llm needs http(s)://HOST[:PORT]/v1 without a password; the key goes into ${KEY}.")
        self.url, self.concurrency, self.timeout, self.attempts = url.rstrip("/"), concurrency, timeout, attempts
        self._stop = threading.Event()
        self._key = os.environ.get(KEY, "")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=concurrency),
        )
        self.model = model or self._first_model()
        self.name = f"{self.url} {self.model}"
        self.cannot = self._probe()

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str]]:
        """As LanguageModel.texts."""
        return self._all(lambda prompt: self._text(prompt, limit), prompts)

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """As LanguageModel.digits."""
        return self._all(lambda question: self._digits(*question), list(zip(prompts, places, strict=True)))

    def _all(self, ask: Callable[[Any], Any], questions: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            waiting = {pool.submit(ask, question): number for number, question in enumerate(questions)}
            for done in as_completed(waiting):
                try:
                    yield waiting[done], done.result()
                except Refused as error:
                    raise RunError(f"{self.url} refused a prompt: {error}.") from error
        finally:
            self._stop.set()  # wakes the attempts that wait; after an interrupt nothing more is sent
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()

    def _text(self, prompt: str, limit: int) -> str:
        settings = {"model": self.model, "max_tokens": limit, "temperature": 0, "stop": [STOP]}
        if "chat" in self.cannot:
            return str(self._send("/completions", settings | {"prompt": prompt}, lambda body: _choice(body)["text"]))
        messages = [{"role": "user", "content": prompt}]
        return str(
            self._send(
                "/chat/completions", settings | {"messages": messages}, lambda body: _choice(body)["message"]["content"]
            )
        )

    def _digits(self, prompt: str, places: Sequence[int]) -> Shares:
        settings = {"model": self.model, "prompt": prompt, "temperature": 0, "logprobs": TOP}
        if list(places) == [len(prompt)]:
            settings |= {"max_tokens": 1}
            return [self._send("/completions", settings, lambda body: shares(_logprobs(body)["top_logprobs"][0]))]
        settings |= {"max_tokens": self._least, "echo": True}
        return self._send("/completions", settings, lambda body: _at(_logprobs(body), places))

    def _first_model(self) -> str:
        return str(self._send("/models", None, lambda body: body["data"][0]["id"]))

    def _probe(self) -> dict[str, str]:
        """What the server cannot do, found out with a prompt of a few characters."""
        cannot = {}
        self.cannot: dict[str, str] = {}
        self._least = 0
        for ability, attempt in (
            ("chat", lambda: self._text("Say yes.", 1)),
            ("places", self._probe_places),
            ("next", lambda: self._digits("1, 2, 3,", [8])),
        ):
            try:
                attempt()
            except Refused as error:
                cannot[ability] = str(error)
        self.cannot = {"chat": cannot["chat"]} if "chat" in cannot else {}
        if "chat" in cannot:
            try:
                self._text("Yes", 1)
            except Refused as error:
                cannot["text"] = str(error)
        return cannot

    def _probe_places(self) -> None:
        try:
            self._digits("7\t1\n8\t2\n", [2, 6])
        except Refused:
            self._least = 1  # some servers echo a prompt only if they may add a token
            self._digits("7\t1\n8\t2\n", [2, 6])

    def _send(self, path: str, body: Any, read: Callable[[Any], Any]) -> Any:
        """One request, sent again where that may help; `read` takes what is wanted from the answer."""
        trouble = "no attempt was made"
        for attempt in range(self.attempts):
            wait = min(LONGEST_WAIT, 2**attempt) * random.uniform(0.25, 0.5)  # so that many do not come back at once
            try:
                status, headers, data = self._exchange(path, body)
            except httpx.HTTPError as error:
                trouble = f"{type(error).__name__} {self._hidden(str(error))}"
            else:
                if status in AGAIN:
                    trouble = f"status {status}"
                    wait = max(wait, min(LONGEST_WAIT, _seconds(headers.get("retry-after"))))
                elif status >= 300:
                    self._refuse(path, status, data)
                else:
                    try:
                        return read(json.loads(data))
                    except ValueError as error:
                        trouble = f"an answer that is no JSON ({error})"
                    except (KeyError, IndexError, TypeError) as error:
                        raise Refused(f"its answer lacks {error}") from error
            if attempt + 1 < self.attempts and self._stop.wait(wait):
                break
        raise Unreachable(
            f"{self.url}{path} did not answer in {self.attempts} attempts; the last: {trouble}. "
            "Answers so far are kept: run the same command again to go on."
        )

    def _exchange(self, path: str, body: Any) -> tuple[int, httpx.Headers, bytes]:
        deadline, data = time.monotonic() + self.timeout, bytearray()
        method = "GET" if body is None else "POST"
        with self._client.stream(method, self.url + path, json=body) as response:
            for part in response.iter_bytes():
                data += part
                if len(data) > LARGEST:
                    raise RunError(f"{self.url}{path} sent more than {LARGEST} bytes for one answer. It is no judge.")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"the answer took more than {self.timeout:g} s")
            return response.status_code, response.headers, bytes(data)

    def _refuse(self, path: str, status: int, data: bytes) -> None:
        said = self._hidden(" ".join(data[:300].decode("utf-8", "replace").split()))
        if status in (401, 403):
            raise InputError(f"{self.url} wants a key (status {status}). Put it into the environment as {KEY}.")
        if status < 400:
            raise RunError(
                f"{self.url}{path} redirects (status {status}), which is not followed. Name the server itself."
            )
        raise Refused(f"status {status}: {said}")

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _choice(body: Any) -> Any:
    return body["choices"][0]


def _logprobs(body: Any) -> Any:
    found = _choice(body)["logprobs"]
    if not found or not found["top_logprobs"]:
        raise KeyError("log-probabilities")
    return found


def _at(logprobs: Any, places: Sequence[int]) -> Shares:
    """The shares at characters of an echoed prompt; None where no token begins at one."""
    if len(logprobs["text_offset"]) < 2:
        raise KeyError("the prompt's log-probabilities")
    begins = dict(zip(logprobs["text_offset"], logprobs["top_logprobs"], strict=False))
    return [shares(begins.get(place)) for place in places]


def shares(top: dict[str, float] | None) -> list[float] | None:
    """The probabilities of DIGITS among the most likely tokens, adding up to 1; None where there is no digit."""
    likely = [math.exp(top[digit]) if top and digit in top else 0.0 for digit in DIGITS]
    total = sum(likely)
    return [value / total for value in likely] if total > 0 else None


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0  # a date: the wait of our own does
