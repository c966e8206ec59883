"""A small OpenAI-compatible server round a transformers model, in a process of its own: -m tests.model_server DIR

It stands in for vLLM or llama.cpp, which no package index here has as a wheel: real sockets, a real process, a real
forward of each prompt, none of our batching or kept prefixes. It prints its port.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOKENIZER: Any = AutoTokenizer.from_pretrained(sys.argv[1])
MODEL: Any = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()


class Handler(BaseHTTPRequestHandler):
    """Models and completions; no chat."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send(200, {"data": [{"id": "served"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions":
            self.send(404, {"error": "no such path"})
        else:
            self.send(200, {"choices": [complete(body)]})

    def send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def complete(body: dict[str, Any]) -> dict[str, Any]:
    """One choice, with the log-probabilities of every token where they are asked for."""
    encoded = TOKENIZER(body["prompt"], return_offsets_mapping=True)
    ids, offsets = torch.tensor([encoded["input_ids"]]), encoded["offset_mapping"]
    with torch.inference_mode():
        if not body.get("logprobs"):
            said = MODEL.generate(ids, max_new_tokens=body["max_tokens"], do_sample=False)
            return {"text": TOKENIZER.decode(said[0, ids.shape[1] :]).partition(body["stop"][0])[0]}
        logs = MODEL(ids).logits[0].log_softmax(-1)
    if not body.get("echo"):
        return {"text": "", "logprobs": {"text_offset": [len(body["prompt"])], "top_logprobs": [top(logs[-1])]}}
    tops = [None, *(top(row) for row in logs[:-1])]
    return {"text": "", "logprobs": {"text_offset": [begin for begin, _ in offsets], "top_logprobs": tops}}


def top(row: torch.Tensor) -> dict[str, float]:
    """All tokens: a real server sends the likeliest 15, among which a random model names no digit."""
    return {TOKENIZER.decode(number): float(value) for number, value in enumerate(row)}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
