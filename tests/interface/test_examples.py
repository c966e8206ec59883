"""The public names: each has an example that runs, and importing the package costs nothing."""

import ast
import doctest
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cratelm

PUBLIC = [name for name in cratelm.__all__ if name != "__version__"]
REGISTRIES = {"explainers", "metrics"}
HEAVY = {"torch", "transformers", "pandas", "scipy", "numpy", "pyarrow", "matplotlib", "cyclopts", "rich"}


def examples(name: str, given: dict[str, str]) -> list[doctest.DocTest]:
    public = getattr(cratelm, name)
    found = doctest.DocTestFinder(exclude_empty=True).find(public, name, globs=given)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in REGISTRIES | {"RunError"}])
def test_every_public_object_has_an_example_that_runs(
    name: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    given = {"STUDY": str(study), "MODEL": str(study / "models" / "crate"), "OUT": str(tmp_path)}
    tests = examples(name, given)
    assert tests, f"{name} has no example"
    for test in tests:
        said: list[str] = []
        assert doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed == 0, "".join(said)
    cratelm.metrics.pop("closeness", None)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_says_what_it_is(name: str) -> None:
    public = getattr(cratelm, name)
    assert name in REGISTRIES or (inspect.getdoc(public) or "").strip()
    assert name in dir(cratelm)


def test_types_and_values_are_imported_from_the_same_modules() -> None:
    tree = ast.parse(Path(cratelm.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cratelm.")
        for alias in node.names
    }
    assert typed == {name: f"cratelm.{module}" for name, module in cratelm._PUBLIC.items()}


def test_import_cratelm_imports_nothing_else_and_takes_less_than_50_ms() -> None:
    code = """
import json, sys, time
before, began = set(sys.modules), time.process_time()
import cratelm
took = time.process_time() - began
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, modules = json.loads(done.stdout)
    assert took < 0.05
    assert not {name.split(".")[0] for name in modules} & HEAVY


def test_opening_a_study_and_reading_a_unit_needs_no_pytorch(study: Path) -> None:
    code = (
        "import sys, cratelm; study = cratelm.open(sys.argv[1]); study.table; study._repr_html_();"
        "study.unit('crate/0/3')._repr_html_(); sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["explain", "measure", "score", "study"])
def test_a_module_of_the_same_name_does_not_take_a_functions_place(name: str) -> None:
    __import__(f"cratelm.{name}")
    assert callable(getattr(cratelm, name))
    assert isinstance(sys.modules[f"cratelm.{name}"], ModuleType)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cratelm.nothing  # noqa: B018
