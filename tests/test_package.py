"""What the package and its repository carry next to the code."""

import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_package_says_that_it_is_typed() -> None:
    assert (files("cratelm") / "py.typed").is_file()
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"] == {"packages": ["src/cratelm"]}  # all files of the folder, those without code included


def test_the_files_and_names_that_contributing_points_to_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"(?:src|tests|docs|viewer|\.ci)/[\w./-]*\w", text)
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []
    code = "\n".join(
        path.read_text(encoding="utf-8") for part in ("src", "tests") for path in (ROOT / part).rglob("*.py")
    )
    names = re.findall(r"`(\w*[A-Z_]\w*)`", text)
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


def test_the_changelog_tells_what_is_not_released_yet() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.processes
def test_no_optional_package_is_imported_before_it_is_asked_for() -> None:
    ours = "cratelm.cli, cratelm.commands.sae, cratelm.sae.train, cratelm.llm.config, cratelm.llm.local"
    code = f"import sys, {ours}; sys.exit(bool({{'openai', 'sae_lens'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_unit_is_shown_and_settings_are_known_without_pytorch() -> None:
    ours = "cratelm.commands.show, cratelm.report.unit_facts, cratelm.report.unit_terminal, cratelm.presets"
    code = f"import sys, {ours}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
