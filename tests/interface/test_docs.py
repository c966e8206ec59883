"""What docs/python.md and README.md tell people to type, and the notebooks: all of it runs."""

import re
import runpy
from pathlib import Path

import pytest

import cratelm

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ("quickstart", "your_model", "add_a_metric")


@pytest.fixture
def beside_a_study(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a study in runs/laptop; metrics that are added are gone after it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/laptop").symlink_to(study, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    before = dict(cratelm.metrics)
    yield tmp_path
    cratelm.metrics.clear()
    cratelm.metrics.update(before)


@pytest.mark.slow
def test_every_block_of_the_python_page_runs(beside_a_study: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 4
    space: dict = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), space)
    assert set(space["scores"].frame["metric"]) == {"same-peak"}


@pytest.mark.slow
def test_the_lines_of_the_readme_run(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("**Work in Python**")[1]
    (block,) = re.findall(r"\n\n((?:      .*\n)+)", text)[:1]
    exec(re.sub(r"^ {6}", "", block, flags=re.MULTILINE), {})


@pytest.fixture(scope="module")
def notebooks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks are run, one after the other."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_its_first_cell_to_its_last(name, notebooks_folder, monkeypatch) -> None:
    monkeypatch.chdir(notebooks_folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(notebooks_folder / "cache"))
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    cratelm.metrics.pop("same-peak", None)


def test_every_notebook_is_run_and_has_prose_before_its_code() -> None:
    found = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    assert found == sorted(NOTEBOOKS)
    for name in found:
        cells = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8").split("\n# %%")
        assert cells[1].startswith(" [markdown]\n# # ") and sum(" [markdown]" in cell[:12] for cell in cells) >= 4
