"""A stand-in for an LLM server that speaks OpenAI's protocol: it judges by rule, and misbehaves when told to.

Tokens are single characters. Its rule: a digit is 9 behind a token that holds `word`, else 0.
"""

import gzip
import json
import math
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn(ThreadingHTTPServer):
    """Misbehaves as `faults` says, a request each, and as `broken` says whenever it is asked for an ability.

    `able` holds what it can do, `refused` the settings that it refuses in a chat as OpenAI's newer models do. `said`
    changes every choice of a chat; `reasoning` stands before its answer, and counts against the limit on tokens.
    `first` is a token such as `<bos>` that it counts before an echoed prompt, as vLLM does.
    """

    daemon_threads = True

    def __init__(
        self, able: tuple[str, ...] = ("chat", "echo", "logprobs"), delay: float = 0.0, word: str = "hot"
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.able, self.delay, self.word = able, delay, word
        self.faults: list[str] = []
        self.broken: dict[str, str] = {}
        self.refused: tuple[str, ...] = ()
        self.said: dict[str, Any] = {}
        self.reasoning = self.first = ""
        self.seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    request_queue_size = 64

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as servers do: else each answer waits 40 ms for the client to confirm its head

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send(200, {"data": [{"id": "rules"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append((self.path, body, dict(self.headers)))
            fault = self.server.faults.pop(0) if self.server.faults else ""
        time.sleep(self.server.delay)
        fault = fault or self.server.broken.get(ability(self.path, body), "")
        refused = next((name for name in self.server.refused if name in body), "")
        if fault:
            self.misbehave(fault)
        elif self.path.endswith("/chat/completions") and refused:
            self.send(400, {"error": {"message": f"Unsupported parameter: '{refused}'.", "param": refused}})
        elif self.path.endswith("/chat/completions"):
            if "chat" in self.server.able:
                self.send(200, {"choices": [self.chat(body)]})
            else:
                self.send(404, {"error": "no chat"})
        elif body.get("logprobs") and "logprobs" not in self.server.able:
            self.send(200, {"choices": [{"text": "7", "logprobs": None}]})
        elif body.get("echo") and "echo" not in self.server.able:
            self.send(400, {"error": "echo is not supported"})
        else:
            self.send(200, {"choices": [completion(body, self.server.word, self.server.first)]})

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the model writes, a word a token, up to a stop string or the limit."""
        text = self.server.reasoning + says(body["messages"][0]["content"], self.server.word)
        for stop in body.get("stop", ()):
            text = text.partition(stop)[0]
        limit = body.get("max_tokens") or body["max_completion_tokens"]
        written = "".join(re.findall(r"\s*\S+", text)[:limit])
        finish = "stop" if written == text else "length"
        return {"message": {"content": written}, "finish_reason": finish} | self.server.said

    def misbehave(self, fault: str) -> None:
        if fault == "429":
            self.send(429, {"error": "slow down"}, {"Retry-After": "0.3"})
        elif fault == "later":
            self.send(429, {"error": "slow down"}, {"Retry-After": "60"})
        elif fault == "closed":
            self.close_connection = True
        elif fault == "error":
            self.send(200, {"error": {"message": "the server behind is busy"}})
        elif fault == "spent":
            said = "Could not finish the message because max_tokens or model output limit was reached."
            self.send(400, {"error": {"message": said}})
        elif fault == "another form":
            self.send(
                200, {"choices": [{"message": None, "text": None, "logprobs": {"top_logprobs": [{"7": 1e9}, "1"]}}]}
            )
        elif fault == "packed":
            self.raw(200, gzip.compress(b"{}"), {"Content-Encoding": "gzip"})
        elif fault == "trickle":
            self.send_response(200)
            self.end_headers()
            for _ in range(30):
                self.wfile.write(b" ")
                time.sleep(0.1)
            self.close_connection = True
        elif fault == "redirect":
            self.send(307, {}, {"Location": "http://127.0.0.1:1/v1/completions"})
        elif fault == "half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif fault == "nonsense":
            self.raw(200, b"<html>welcome</html>")
        elif fault == "silence":
            time.sleep(1.5)
            self.close_connection = True
        elif fault == "echoes the key":
            self.send(400, {"error": f"bad: {self.headers.get('Authorization')}"})
        else:
            self.send(int(fault), {"error": "broken"})

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.raw(status, json.dumps(body).encode(), headers)

    def raw(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def ability(path: str, body: dict[str, Any]) -> str:
    """What a request needs of a server."""
    if path.endswith("/chat/completions"):
        return "chat"
    return "echo" if body.get("echo") else "logprobs" if body.get("logprobs") else "text"


def says(prompt: str, hot: str) -> str:
    """The words of the last text that hold the word."""
    text = prompt.rpartition("Text: ")[2].partition("\n")[0]
    return " | ".join(word for word in text.split() if hot in word) or "none"


def completion(body: dict[str, Any], hot: str, first: str) -> dict[str, Any]:
    """A choice with the log-probabilities of characters, behind those of the token `first` where there is one."""
    prompt = body["prompt"]
    if not body.get("logprobs"):
        return {"text": says(prompt, hot)}
    if not body.get("echo"):
        return {"text": "", "logprobs": {"text_offset": [len(prompt)], "top_logprobs": [likely(prompt, hot)]}}
    tokens, top = [*([first] if first else []), *prompt], [likely(prompt[:begin], hot) for begin in range(len(prompt))]
    offsets = [0] * bool(first) + [len(first) + begin for begin in range(len(prompt))]
    top = [None] * bool(first) + top
    return {"text": prompt, "logprobs": {"tokens": tokens, "text_offset": offsets, "top_logprobs": top}}


def likely(before: str, hot: str) -> dict[str, float]:
    """The log-probabilities of the digits behind a text: 9 for sure behind a hot token, else 0."""
    token = before.rpartition("\n")[2]
    digit = "9" if hot in token else "0"
    return {digit: math.log(0.75), "x": math.log(0.25)}
