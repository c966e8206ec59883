"""What the pages tell people to type and to open exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cratelm.cli import COMMANDS, app

ROOT = Path(__file__).parents[1]
HISTORY = {"log.md", "_commands.md"}
"""Pages that keep commands as they were, or are made from the code."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in HISTORY]
EVERYWHERE = {"--help", "--version"}


def commands_in(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page's indented blocks, and the options it is given."""
    for line in page.read_text(encoding="utf-8").splitlines():
        typed = re.match(r"(?: {4}| {6})(?:\S*/)?cratelm ([a-z]+)(.*)", line)
        if typed:
            yield typed[1], re.findall(r"(?<![\w.])--[a-z][a-z.-]*", re.split(r" {2,}(?!-)", typed[2])[0])


def options_of(command: str) -> set[str]:
    """The names of a command's options."""
    return {name for argument in app[command].assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_has_the_options_that_it_is_shown_with(page: Path) -> None:
    for command, options in commands_in(page):
        assert command in app, f"{page.name}: there is no cratelm {command}"
        unknown = set(options) - options_of(command) - EVERYWHERE
        assert not unknown, f"{page.name}: cratelm {command} has no {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_pages_show_commands() -> None:
    assert sum(1 for page in PAGES for _ in commands_in(page)) > 40


@pytest.mark.parametrize("command", [name for names in COMMANDS.values() for name in names])
def test_the_help_of_every_command_ends_with_an_example_that_the_command_accepts(command: str) -> None:
    shown = re.fullmatch(r"Example: `cratelm (.+)`", str(app[command].help_epilogue))
    assert shown, f"cratelm {command} has no example: write an Examples section at the end of its docstring"
    words = shlex.split(shown[1])
    assert words[0] == command
    app.parse_args(words, exit_on_error=False, print_error=False)
