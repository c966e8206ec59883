"""The house: imports point down, so that no part needs to be understood before itself."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
HISTORY = ("CHANGELOG.md", "log.md")
"""Documents that tell of files as they were."""
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "cratelm").rglob("*.py"))
}


def imported(module: str) -> set[str]:
    """The package's modules that a module imports: at its top, in functions, and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            beside = [*module.split(".")[: -node.level], node.module] if node.level else [node.module]
            whole = ".".join(part for part in beside if part)
            found |= {f"{whole}.{name.name}" for name in node.names} | {whole}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return (found & MODULES.keys()) - {module}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A path that ends where it began; nothing where there is none."""
    done: set[str] = set()

    def walk(at: str, path: list[str]) -> list[str]:
        if at in path:
            return [*path[path.index(at) :], at]
        if at in done:
            return []
        for following in sorted(graph[at]):
            if found := walk(following, [*path, at]):
                return found
        done.add(at)
        return []

    return next((found for module in sorted(graph) if (found := walk(module, []))), [])


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle({module: imported(module) for module in MODULES}) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize(
    "document", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=lambda path: path.name
)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    if document.name in HISTORY:
        return
    named = re.findall(
        r"`((?:src|tests|docs|benchmarks|viewer|recipes)/[\w./-]*\w)`?", document.read_text(encoding="utf-8")
    )
    assert [path for path in named if not (ROOT / path).exists()] == []
