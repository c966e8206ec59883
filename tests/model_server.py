"""A small OpenAI-compatible server round a transformers model, for a process of its own.

It stands in for vLLM or llama.cpp, which no package index here has as a wheel: real sockets, a real process, a real
forward of each prompt, none of our batching or kept prefixes.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class ModelServer(ThreadingHTTPServer):
    """Serves the model of a folder on a free port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()


def serve(folder: Path, port: Connection) -> None:
    """Serve, and tell the port, until the process ends."""
    server = ModelServer(folder)
    port.send(server.server_port)
    server.serve_forever()


class Handler(BaseHTTPRequestHandler):
    """Models and completions; no chat."""

    protocol_version = "HTTP/1.1"
    server: ModelServer

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send(200, {"data": [{"id": "served"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions":
            self.send(404, {"error": "no such path"})
        else:
            self.send(200, {"choices": [complete(self.server, body)]})

    def send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def complete(server: ModelServer, body: dict[str, Any]) -> dict[str, Any]:
    """One choice, with the log-probabilities of every token where they are asked for."""
    encoded = server.tokenizer(body["prompt"], return_offsets_mapping=True)
    ids, offsets = torch.tensor([encoded["input_ids"]]), encoded["offset_mapping"]
    with torch.inference_mode():
        if not body.get("logprobs"):
            said = server.model.generate(ids, max_new_tokens=body["max_tokens"], do_sample=False)
            return {"text": server.tokenizer.decode(said[0, ids.shape[1] :]).partition(body["stop"][0])[0]}
        logs = server.model(ids).logits[0].log_softmax(-1)
    if not body.get("echo"):
        return {"text": "", "logprobs": {"text_offset": [len(body["prompt"])], "top_logprobs": [top(server, logs[-1])]}}
    tops = [None, *(top(server, row) for row in logs[:-1])]
    return {"text": "", "logprobs": {"text_offset": [begin for begin, _ in offsets], "top_logprobs": tops}}


def top(server: ModelServer, row: torch.Tensor) -> dict[str, float]:
    """All tokens: a real server sends the likeliest 15, among which a random model names no digit."""
    return {server.tokenizer.decode(number): float(value) for number, value in enumerate(row)}
