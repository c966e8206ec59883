"""`cratelm demo`: the study opens in the viewer and in a browser, or is written as pages."""

import shutil
import threading
from pathlib import Path

import pytest

from cratelm.cli import run
from cratelm.demo import unpack
from cratelm.viewer import serve


@pytest.fixture(autouse=True)
def small_demo(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small study in place of the one that is shipped; the cache folder it is unpacked in."""
    folder = tmp_path / "package"
    folder.mkdir()
    shutil.copy(archive, folder / unpack.ARCHIVE)
    monkeypatch.setattr(unpack, "files", lambda package: folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder / "cache" / "cratelm" / "demo"


def served(monkeypatch: pytest.MonkeyPatch) -> list:
    calls = []
    monkeypatch.setattr(serve, "serve", lambda *given, **named: calls.append((given, named)))
    return calls


def test_it_serves_the_unpacked_study_and_says_what_it_is_in_two_lines(
    small_demo: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    calls = served(monkeypatch)
    assert run(["demo", "--port", "0"]) == 0
    ((given, named),) = calls
    assert given[:3] == (small_demo, "127.0.0.1", 0) and named["ready"] is serve.open_in_browser
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("unpacking")]
    assert len(lines) == 2 and "CRATE and GPT-2" in lines[0] and str(small_demo) in lines[1]


def test_no_browser_is_opened_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, opened = served(monkeypatch), []
    monkeypatch.setattr(serve.webbrowser, "open", opened.append)
    assert run(["demo", "--no-browser"]) == 0
    calls[0][1]["ready"]("http://127.0.0.1:1")
    assert opened == []


@pytest.mark.parametrize(("variable", "expected"), [("DISPLAY", True), ("WAYLAND_DISPLAY", True), (None, False)])
def test_a_browser_is_opened_only_where_there_is_a_screen(
    variable: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()
    monkeypatch.setattr(serve.webbrowser, "open", lambda address: opened.set())
    monkeypatch.setattr(serve.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, ":0")
    serve.open_in_browser("http://127.0.0.1:1")
    assert opened.wait(5 if expected else 0.2) == expected


def test_it_is_exported_with_the_notice_and_never_over_what_is_there(tmp_path: Path, capsys) -> None:
    pages = tmp_path / "pages"
    assert run(["demo", "--export", str(pages)]) == 0
    assert (pages / "index.html").is_file() and "sympy" in (pages / "NOTICE.txt").read_text(encoding="utf-8")
    (pages / "index.html").write_text("mine")
    assert run(["demo", "--export", str(pages)]) == 2
    assert (pages / "index.html").read_text() == "mine"


def test_a_package_without_the_study_fails_in_one_line(small_demo: Path, capsys) -> None:
    (small_demo.parents[2] / unpack.ARCHIVE).unlink()
    shutil.rmtree(small_demo, ignore_errors=True)
    assert run(["demo", "--no-browser"]) == 3
    assert capsys.readouterr().err.count("\n") == 1
