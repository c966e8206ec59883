"""A real viewer process on a study, and studies with a judge or autoencoders, for tests."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.testclient import TestClient

from cratelm.artifacts import claim_study
from cratelm.llm.config import JudgeConfig
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.sae.config import StudySaeConfig
from cratelm.study import run_study
from cratelm.viewer.api import Viewer
from cratelm.viewer.viewed_study import Study
from tests.test_words import ByRule

HERE = "http://127.0.0.1"
WITH_ERROR = {"without_error": False}


def client_of(study: Path) -> TestClient:
    return TestClient(Viewer(Study(study)).application(["127.0.0.1"]), base_url=HERE)


@contextmanager
def viewer(study: Path, *options: str, first: str = "") -> Iterator[str]:
    """The address of `cratelm view` on a study, as long as the context is open; it runs the code `first`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"{first}\nfrom cratelm.cli import main\nmain()"
    command = [sys.executable, "-c", code, "view", str(study), "--port", str(port), *options]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process)
        yield address
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 143


def _wait(address: str, process: subprocess.Popen) -> None:
    for _ in range(1200):
        assert process.poll() is None, process.communicate()[1]
        try:
            urllib.request.urlopen(address).close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError("the viewer did not come up")


def judged_copy(study: Path, config: StudyConfig, out: Path, quiet: Progress) -> Path:
    """The same study with explanations in words by a judge that fails its puzzles and some of its answers."""
    return _grown(study, replace(config, judge=JudgeConfig(llm="by rule")), out, quiet, ByRule(broken="R"))


def latents_copy(study: Path, config: StudyConfig, out: Path, quiet: Progress) -> Path:
    """The same study with autoencoders on its models."""
    saes = StudySaeConfig(dictionaries="1x-k4", tokens=3000, batch=100, buffer=800, documents=6)
    return _grown(study, replace(config, sae=True, saes=saes), out, quiet)


def _grown(study: Path, config: StudyConfig, out: Path, quiet: Progress, judge: ByRule | None = None) -> Path:
    shutil.copytree(study, out, ignore=shutil.ignore_patterns("report", "study.json"))
    claim_study(out, config)
    run_study(config, out, quiet, judge)
    return out
