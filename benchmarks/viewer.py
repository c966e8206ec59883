"""How long the viewer takes: python benchmarks/viewer.py [STUDY] | list

Without a study, one of 6 models x 3 layers x 512 units is made first: one untrained model through the package's own
stages, under 6 names. Limits that we hold ourselves to, on 2 cores: first page 1 s (page, script, study and one layer,
by a server that has answered nothing yet), a unit's page 100 ms, /try 300 ms for 100 tokens. Times are medians of 20.

list: one layer of 40,000 units in a real Chromium: until the list stands, a sort, a search, and the times between
frames while it is scrolled from top to bottom. Smooth means that 95% of them are under 34 ms.
"""

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from starlette.testclient import TestClient

from cratelm.artifacts import run_stage, write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.tokenizer import train_bpe
from cratelm.corpus.tokens import tokenize
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import EXPLANATIONS, explain
from cratelm.progress import Progress
from cratelm.records.config import RecordConfig
from cratelm.records.record import RECORDS, record
from cratelm.records.store import write_units
from cratelm.report.report import REPORT
from cratelm.score.config import ScoreConfig
from cratelm.score.score import SCORES, score
from cratelm.score.scored import STATUS
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train
from cratelm.viewer.api import Viewer
from cratelm.viewer.viewed_study import Study

RUNS = 20
MODELS, LAYERS, UNITS = 6, 3, 512
LIST = 40_000
VOCABULARY = 400
SYLLABLES = ("ba", "con", "de", "fil", "gra", "lo", "mi", "per", "sto", "tu", "va", "zen")


def main(arguments: list[str]) -> None:
    """Time a study that is there, or one that is made for it."""
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        if arguments == ["list"]:
            make_list(Path(folder) / "study", progress)
            time_list(Path(folder) / "study")
        else:
            time_answers(Path(arguments[0]) if arguments else make_study(Path(folder), progress))


def time_answers(folder: Path) -> None:
    """Print how long the pages' documents take."""
    began = time.monotonic()
    client = TestClient(Viewer(Study(folder)).application(["127.0.0.1"]), base_url="http://127.0.0.1")
    models = client.get("/api/study").json()["models"]
    name, units = models[0]["name"], models[0]["layers"][0]["units"]
    for path in ("/", "/app.js", "/app.css", f"/api/{name}/0"):
        assert client.get(path).status_code == 200
    layers = sum(len(model["layers"]) for model in models)
    print(f"first page, {len(models)} models, {layers} layers: {time.monotonic() - began:.3f} s")
    _print(
        "a unit", [_timed(lambda unit=unit: client.get(f"/api/{name}/0/{unit}")) for unit in range(min(RUNS, units))]
    )
    print(f"first weights, the model loaded for them: {_timed(lambda: client.get(f'/api/{name}/0/1/weights')):.3f} s")
    _print("its weights", [_timed(lambda: client.get(f"/api/{name}/0/1/weights")) for _ in range(RUNS)])
    asked = {"model": name, "text": "a " * 50, "layer": 0, "unit": 1}
    tokens = len(client.post("/api/try/fire", json=asked).json()["tokens"])
    _print(
        f"try a text of {tokens} tokens",
        [_timed(lambda: client.post("/api/try/fire", json=asked)) for _ in range(RUNS)],
    )


def _timed(ask: Callable) -> float:
    began = time.monotonic()
    answer = ask()
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


def _print(name: str, seconds: list[float]) -> None:
    print(f"{name}: {1000 * statistics.median(seconds):.0f} ms, at most {1000 * max(seconds):.0f} ms")


def made_up_texts(count: int) -> list[str]:
    """Documents of made-up words."""
    generator = random.Random(0)
    words = ["".join(generator.choices(SYLLABLES, k=generator.randint(1, 3))) for _ in range(800)]
    return [f"Text {number}. " + " ".join(generator.choices(words, k=150)) for number in range(count)]


def make_study(folder: Path, progress: Progress) -> Path:
    """A study of models that are one untrained model under several names."""
    (folder / "texts.txt").write_text("\n\n".join(made_up_texts(600)))
    corpus = CorpusConfig(
        corpus=str(folder / "texts.txt"),
        tokenizer=f"bpe:{VOCABULARY}",
        validation_share=0.1,
        explain_share=0.3,
        score_share=0.3,
    )
    tokens, out = tokenize(corpus, folder / "tokens", progress), folder / "study"
    shape = ShapeConfig(layers=LAYERS, width=UNITS // 4, heads=4, context=128)
    training = TrainingConfig(tokens=0, compile="no", evaluations=2, evaluation_documents=5)
    model = train(TrainConfig(model="crate", shape=shape, training=training), tokens, out / "models" / "m0", progress)
    records = record(RecordConfig(), model, tokens, out / "records" / "m0", progress)
    explanations = explain(ExplainConfig(), records, out / "explanations" / "m0", progress)
    config = ScoreConfig(metric="random-only,auroc", replicates=100)
    score(config, records, explanations, out / "scores" / "m0", progress)
    for stage in ("models", "records", "explanations", "scores"):
        for number in range(1, MODELS):
            shutil.copytree(out / stage / "m0", out / stage / f"m{number}")
    make_report(out, [f"m{number}" for number in range(MODELS)], LAYERS)
    return out


def make_report(out: Path, models: list[str], layers: int) -> None:
    """A report of random numbers."""
    generator = np.random.default_rng(0)

    def estimate() -> dict[str, float]:
        mean = float(generator.uniform(0, 0.6))
        return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}

    names = ("score", "graph", "shuffled", "random_weights")
    shares = ("ceiling", "token_share", "firing_rate", "dead", "silent", "constant")
    rows = [
        {"model": model, "layer": layer, "metric": metric}
        | {name: estimate() for name in names}
        | {name: float(generator.uniform()) for name in shares}
        for metric in ("top-and-random", "random-only", "anthropic")
        for model in models
        for layer in [*range(layers), "all"]
    ]
    known = {"parameters": 1, "tokens": 0, "validation_loss": estimate(), "bits_per_byte": 1.0}
    table = {"note": "", "rows": rows, "models": [{"model": model} | known for model in models], "differences": []}
    run_stage(out / "report", REPORT, {}, {}, lambda folder: write_json(folder / "table.json", table))


def make_list(out: Path, progress: Progress) -> None:
    """A study of one layer of so many units, with what its list needs."""
    generator, tokenizer = np.random.default_rng(0), train_bpe(made_up_texts(600), VOCABULARY)
    columns = ("firing_rate", "maximum", "mean", "variance", "skewness", "kurtosis", "token_share", "position_share")
    halves = {
        half: {name: generator.uniform(0, 1, LIST) for name in columns}
        | {"histogram": generator.integers(0, 1000, (LIST, 40))}
        for half in ("explain", "score")
    }
    site = {"layer": 0, "not_finite": 0, "signed": False, "site": "model.layers.0.coding.code", "units": LIST}

    def records(folder: Path) -> None:
        tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "records.json", {"protocol": "strict", "sites": [site], "vocabulary": VOCABULARY})
        write_units(folder / "units.parquet", [halves])

    def explanations(folder: Path) -> None:
        token = generator.integers(257, VOCABULARY, (LIST, 6))
        texts = np.array([tokenizer.decode([number]) for number in range(VOCABULARY)])
        said = ["fires on " + ", ".join(f"{text!r} 0.8" for text in row) for row in texts[token].tolist()]
        unit = pa.array(np.arange(LIST), pa.int32())
        pq.write_table(pa.table({"unit": unit, "table": said, "graph": said}), folder / "sentences-0.parquet")
        table = {
            "unit": np.repeat(np.arange(LIST), 6),
            "token": token.ravel(),
            "mean": generator.uniform(size=6 * LIST),
        }
        pq.write_table(pa.table(table), folder / "table-openai-0.parquet")

    def scores(folder: Path) -> None:
        pq.write_table(pa.concat_tables(_scores(generator)), folder / "units-0.parquet")

    for stage, work in ((RECORDS, records), (EXPLANATIONS, explanations), (SCORES, scores)):
        (out / stage.name).mkdir(parents=True)
        run_stage(out / stage.name / "m0", stage, _settings(stage.name), {}, work)
    make_report(out, ["m0"], 1)


def _settings(stage: str) -> dict[str, Any]:
    return {"explainer": "table,graph", "llm_units": 20, "seed": 0} if stage == "explanations" else {}


def _scores(generator: np.random.Generator) -> Iterator[pa.Table]:
    for explainer in ("table", "graph"):
        for metric in ScoreConfig().metrics:
            score_, status = generator.beta(2, 4, LIST), generator.choice(4, LIST, p=(0.9, 0.04, 0.03, 0.03))
            yield pa.table(
                {
                    "layer": pa.array(np.zeros(LIST), pa.int16()),
                    "unit": pa.array(np.arange(LIST), pa.int32()),
                    "explainer": [explainer] * LIST,
                    "metric": [metric] * LIST,
                    **{name: score_ + step for name, step in (("score", 0), ("low", -0.1), ("high", 0.1))},
                    "status": pa.DictionaryArray.from_arrays(pa.array(status, pa.int8()), list(STATUS)),
                }
            )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a viewer process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from cratelm.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "view", str(folder), "--port", str(port)], env=os.environ)
    try:
        while True:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


CHANGED = """async ([act, of]) => {
  const read = () => document.querySelector(of)?.textContent, before = read(), began = performance.now();
  const search = document.getElementById("search");
  const heads = [...document.querySelectorAll(".head button")];
  if (act === "sort") heads.find((one) => one.textContent.startsWith("max")).click();
  else { search.value = act; search.dispatchEvent(new Event("input", { bubbles: true })); }
  while (read() === before) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
SCROLLED = """async (frames) => {
  const box = document.querySelector(".rows"), all = box.scrollHeight - box.clientHeight, times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let frame = 1; frame <= frames; frame++) {
    box.scrollTop = all * frame / frames;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  return times;
}"""


def time_list(folder: Path) -> None:
    """Print what Chromium makes of the list."""
    from playwright.sync_api import sync_playwright

    chromium = next(found for name in ("chromium", "google-chrome") if (found := shutil.which(name)))
    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 850})
        for visit in ("first", "second"):
            began = time.monotonic()
            page.goto(f"{address}/m0/0")
            page.wait_for_selector(".unit", timeout=120_000)
            print(f"{LIST:,} units, {visit} visit: the list stands after {time.monotonic() - began:.2f} s")
        for act, of in (("sort", ".unit span"), ("fil", ".filters output"), ("film", ".filters output")):
            print(f"{act}: {page.evaluate(CHANGED, [act, of]):.0f} ms")
        page.goto(f"{address}/m0/0")
        page.wait_for_selector(".unit", timeout=120_000)
        for frames in (300, 1500):
            times = np.array(page.evaluate(SCROLLED, frames))
            middle, most = np.percentile(times, [50, 95])
            print(
                f"scrolled in {frames} frames: median {middle:.1f} ms, 95% {most:.1f} ms, longest {times.max():.1f} ms"
            )
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
