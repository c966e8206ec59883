"""A stand-in for an LLM server that speaks OpenAI's protocol: it judges by rule, and misbehaves when told to.

Tokens are single characters. Its rule: a digit is 9 behind a token that holds `word`, else 0.
"""

import json
import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn(ThreadingHTTPServer):
    """Misbehaves as `faults` says, a request each; `able` holds what it can do."""

    daemon_threads = True

    def __init__(
        self, able: tuple[str, ...] = ("chat", "echo", "logprobs"), delay: float = 0.0, word: str = "hot"
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.able, self.delay, self.word = able, delay, word
        self.faults: list[str] = []
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
        if fault:
            self.misbehave(fault)
        elif self.path.endswith("/chat/completions"):
            if "chat" in self.server.able:
                self.send(
                    200, {"choices": [{"message": {"content": says(body["messages"][0]["content"], self.server.word)}}]}
                )
            else:
                self.send(404, {"error": "no chat"})
        elif body.get("logprobs") and "logprobs" not in self.server.able:
            self.send(200, {"choices": [{"text": "7", "logprobs": None}]})
        elif body.get("echo") and "echo" not in self.server.able:
            self.send(400, {"error": "echo is not supported"})
        else:
            self.send(200, {"choices": [completion(body, self.server.word)]})

    def misbehave(self, fault: str) -> None:
        if fault == "429":
            self.send(429, {"error": "slow down"}, {"Retry-After": "0.3"})
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


def says(prompt: str, hot: str) -> str:
    """The words of the last text that hold the word."""
    text = prompt.rpartition("Text: ")[2].partition("\n")[0]
    return " | ".join(word for word in text.split() if hot in word) or "none"


def completion(body: dict[str, Any], hot: str) -> dict[str, Any]:
    """A choice with the log-probabilities of characters."""
    prompt = body["prompt"]
    if not body.get("logprobs"):
        return {"text": says(prompt, hot)}
    begins = range(len(prompt)) if body.get("echo") else [len(prompt)]
    top = [likely(prompt[:begin], hot) for begin in begins]
    return {"text": "", "logprobs": {"text_offset": list(begins), "top_logprobs": top}}


def likely(before: str, hot: str) -> dict[str, float]:
    """The log-probabilities of the digits behind a text: 9 for sure behind a hot token, else 0."""
    token = before.rpartition("\n")[2]
    digit = "9" if hot in token else "0"
    return {digit: math.log(0.75), "x": math.log(0.25)}
