"""Metrics and explainers that another package adds: installed as any package, used by the commands."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cratelm.errors import InputError
from cratelm.registry import registered
from cratelm.score.registry import METRICS, metrics_named

TOY = '''
import numpy as np

from cratelm.explain.explainer import Explainer
from cratelm.explain.explainers.table import TokenTables
from cratelm.score.metric import Metric
from cratelm.score.scored import Scored


class Halved(Explainer):
    """Half of what the table expects: no correlation changes, every size does."""

    name = "halved-table"
    help = "half of what a table of tokens expects"

    def of_excerpts(self, excerpts, texts, seed):
        return TokenTables.explain(excerpts.unit, excerpts.tokens, excerpts.activations / 2, len(texts))

    def write(self, made, path):
        made.write(path)

    def read(self, path, kept):
        return TokenTables.read(path, kept.vocabulary)


def height(inputs):
    """The mean of what is expected of a unit on its random excerpts."""
    own, other = inputs.pair("random-only", "openai")
    of_unit, ones = own.positions.of_unit, np.ones(len(own.truth))
    means = [of_unit(series.simulated) / of_unit(ones) for series in (own, other)]
    return Scored(inputs.units, *means, np.zeros(len(inputs.units), np.int8))


HALVED = Halved()
HEIGHT = Metric(name="height", help="the mean expected activation", compute=height)
NOTHING = "no metric"
SPACED = Metric(name="a name", help="", compute=height)
PROUD = Metric(name="proud", help="claims intervals", compute=height, endpoint=True)
'''


def install(folder: Path, entry_points: str) -> None:
    """Build a wheel and let pip install it, so that the package is found as any other is."""
    wheel = folder / "toy-1.0-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": entry_points,
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy.py", TOY)
        for name, text in about.items():
            archive.writestr(f"toy-1.0.dist-info/{name}", text)
        archive.writestr("toy-1.0.dist-info/RECORD", "")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(wheel)], check=True)


SAID = """
import contextlib, io, json, sys
from cratelm.cli import run
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = run(arguments)
    print(json.dumps([status, said.getvalue()]))
"""


def cratelm(folder: Path, *commands: list[str]) -> tuple[list[tuple[int, str]], str]:
    """Run commands in a process that finds the package: their statuses with what they print, and the errors."""
    path = os.pathsep.join([str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    python = [sys.executable, "-c", SAID, json.dumps(commands)]
    done = subprocess.run(python, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.processes
def test_a_metric_and_an_explainer_of_another_package_are_used_like_our_own(study: Path, tmp_path: Path) -> None:
    install(tmp_path, "[cratelm.metrics]\nheight = toy:HEIGHT\n[cratelm.explainers]\nhalved = toy:HALVED\n")
    records, explanations, scores = (str(study / "records" / "crate"), str(tmp_path / "said"), str(tmp_path / "scores"))
    explain = ["explain", records, "--explainer", "table,halved-table", "--out", explanations]
    asked = ["--metric", "random-only,height", "--replicates", "100", "--json"]
    score = ["score", records, "--explanations", explanations, "--out", scores, *asked]
    done, error = cratelm(tmp_path, explain, score, ["score", "--help"])
    assert [status for status, _ in done] == [0, 0, 0], error
    told, helped = done[1][1], done[2][1]
    means = {(row["explainer"], row["metric"], str(row["layer"])): row["score"] for row in json.loads(told)}
    assert {explainer for explainer, *_ in means} == {"table", "halved-table"}
    assert means["table", "height", "all"]["mean"] == pytest.approx(2 * means["halved-table", "height", "all"]["mean"])
    assert means["table", "height", "all"]["low"] is None
    rows = pq.read_table(tmp_path / "scores" / "units-0.parquet").to_pylist()
    found = {(row["explainer"], row["metric"], row["unit"]): row["score"] for row in rows}
    for unit in range(8):
        assert found["halved-table", "random-only", unit] == pytest.approx(found["table", "random-only", unit])
        assert found["halved-table", "height", unit] == pytest.approx(found["table", "height", unit] / 2)
    assert any(score > 0 for (_, metric, _), score in found.items() if metric == "height")
    assert "height: the mean expected activation." in " ".join(helped.replace("│", " ").split())


@pytest.mark.processes
@pytest.mark.parametrize(
    ("named", "wrong"),
    [
        ("height = toy:SPACED", "'a name' cannot be the name of one of cratelm.metrics."),
        ("height = toy:GONE", "toy offers 'height' as cratelm.metrics, but fails to load"),
        ("height = toy:NOTHING", "toy offers 'height' as cratelm.metrics, but it is not an instance of Metric"),
    ],
)
def test_a_package_that_offers_what_is_none_is_named_in_one_line(study: Path, tmp_path: Path, named, wrong) -> None:
    install(tmp_path, f"[cratelm.metrics]\n{named}\n")
    given = ["score", str(study), "--explanations", str(study), "--out", str(tmp_path / "out")]
    done, error = cratelm(tmp_path, given)
    assert [status for status, _ in done] == [2]
    assert wrong in error
    assert "Traceback" not in error


@pytest.mark.processes
def test_a_metric_that_claims_intervals_and_has_none_is_refused(study: Path, tmp_path: Path) -> None:
    install(tmp_path, "[cratelm.metrics]\nproud = toy:PROUD\n")
    given = [str(study / "records" / "crate"), "--explanations", str(study / "explanations" / "crate")]
    done, error = cratelm(tmp_path, ["score", *given, "--metric", "proud", "--out", str(tmp_path / "out")])
    assert [status for status, _ in done] == [2]
    assert "the metric proud is registered with intervals, but gives no sums over excerpts." in error


def test_a_name_that_is_reserved_is_refused(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "once").mkdir()
    (tmp_path / "once" / "__init__.py").touch()
    (tmp_path / "once" / "one.py").write_text("from tests.test_plugins import Thing\nTHING = Thing('unit')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(registered("once", Thing, "things")) == ["unit"]
    with pytest.raises(InputError, match="'unit' cannot be the name of one of things"):
        registered("once", Thing, "things", ("unit",))


def test_a_name_that_is_given_twice_counts_once() -> None:
    assert [metric.name for metric in metrics_named("auroc, random-only,auroc")] == ["auroc", "random-only"]


def test_a_name_that_is_taken_is_refused(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "__init__.py").touch()
    for module in ("one", "other"):
        text = "from tests.test_plugins import Thing\nTHING = Thing('same')\n"
        (tmp_path / "twice" / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="'same' is registered twice as things"):
        registered("twice", Thing, "things")


class Thing:
    """Something that can be registered."""

    help, order = "a thing", 0

    def __init__(self, name: str) -> None:
        self.name = name


def test_the_order_of_tables_does_not_depend_on_file_names() -> None:
    assert list(METRICS)[:3] == ["top-and-random", "random-only", "anthropic"]
    assert np.all(np.diff([metric.order for metric in METRICS.values()]) > 0)
