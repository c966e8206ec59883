"""How long the viewer's answers take: python benchmarks/viewer.py STUDY

Limits that we hold ourselves to, on 2 cores: first page 1 s (page, script, study and one layer, by a server that has
answered nothing yet), a unit's page 100 ms, /try 300 ms for 100 tokens on the 2-layer model. Times are medians of 20.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

from cratelm.viewer.api import Viewer
from cratelm.viewer.study import Study

RUNS = 20


def main(folder: Path) -> None:
    """Time a study that is there."""
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
    _print("its weights", [_timed(lambda: client.get(f"/api/{name}/0/1/weights")) for _ in range(RUNS)])
    text = "a " * 99
    asked = {"model": name, "text": text, "layer": 0, "unit": 1}
    _print("try a text", [_timed(lambda: client.post("/api/try/fire", json=asked)) for _ in range(RUNS)])


def _timed(ask: Callable) -> float:
    began = time.monotonic()
    answer = ask()
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


def _print(name: str, seconds: list[float]) -> None:
    print(f"{name}: {1000 * statistics.median(seconds):.0f} ms, at most {1000 * max(seconds):.0f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
