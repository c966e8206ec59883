"""A viewer on a study, in this process and in one of its own."""

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
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cratelm.viewer.api import Viewer
from cratelm.viewer.viewed_study import Study

HERE = "http://127.0.0.1"
WITH_ERROR = {"without_error": False}
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
"""Marks of tests in a real browser."""


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
