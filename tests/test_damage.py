"""Whatever happens to the files and whatever is asked: one clear line, a known exit status, and no file lost.

CRATELM_EXAMPLES=200 tries more than the few examples of the ordinary run.
"""

import io
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.judges import puzzles
from cratelm.output import print_json
from cratelm.ranges import Range
from tests.options import numeric_options

PUZZLES = Path(puzzles.__file__).with_name("puzzles.json")
EXAMPLES = int(os.environ.get("CRATELM_EXAMPLES", "25"))
FAST = ["--training.tokens", "256", "--training.batch", "2", "--training.evaluations", "1"]
FAST += ["--shape.layers", "1", "--shape.width", "8", "--shape.heads", "2", "--shape.context", "64"]
SAE = ["--width", "1x", "--k", "4", "--tokens", "800", "--batch", "80", "--buffer", "400", "--documents", "2"]
COMMANDS = {
    "demo": ["demo", "--export", "study"],
    "show": ["show", "study", "crate/0/1", "--json"],
    "show of a recording": ["show", "study/records/crate", "0/1"],
    "agree": ["agree", "study/scores/crate", "study/scores/gpt2", "--json"],
    "export": ["export", "study/records/crate", "--format", "neuron-record", "--out", "made"],
    "push": ["push", "study", "me/name", "--licence", "CC0-1.0", "--dry-run"],
    "explain": ["explain", "study/records/crate", "--out", "made", "--explainer", "table"],
    "score": ["score", "study/records/crate", "--explanations", "study/explanations/crate", "--out", "made"],
    "why": ["why", "study/models/crate", "1/1", "--text", "the film", "--json"],
    "steer": ["steer", "study/models/crate", "0/1=2", "--prompt", "the film", "--new-tokens", "1", "--json"],
    "eval": ["eval", "study/models/crate", "--on", "corpus.txt", "--documents", "2", "--json"],
    "analyze": ["analyze", "study/models/crate", "--text", "study/tokens", "--out", "made", "--tokens", "500"],
    "record": ["record", "study/models/crate", "--text", "study/tokens", "--out", "made", "--tokens", "2000"],
    "match": ["match", *2 * ["study/models/crate"], "--text", "study/tokens", "--out", "made", "--tokens", "500"],
    "effects": [
        *["effects", "study/models/crate", "--records", "study/records/crate", "--out", "made", "--explanations"],
        "study/explanations/crate",
    ],
    "train": ["train", "--preset", "smoke", "--tokens", "study/tokens", "--out", "made", *FAST],
    "sae": ["sae", "study/models/crate", "--text", "study/tokens", "--out", "made", "--json", *SAE],
    "view": ["view", "study", "--export", "made"],
    "validate": ["validate", "constant", "--puzzles", "puzzles.json", "--json"],
    "tokenize": ["tokenize", "corpus.txt", "--out", "made", "--tokenizer", "bpe:300"],
    "study": ["study", "--preset", "smoke", "--corpus", "corpus.txt", "--out", "study"],
}
HEAVY = ["score", "analyze", "effects", "match", "record", "train", "sae", "validate"]
LIGHT = [name for name in COMMANDS if name not in ("view", *HEAVY)]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder that is nobody's, for the demo study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def asked(arguments: list[str]) -> tuple[int, str, str]:
    """The exit status of a command, what it printed, and what it said; a traceback passes through."""
    printed, said = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(said):
        status = run(arguments)
    return status, printed.getvalue(), said.getvalue()


def require_clear(arguments: list[str]) -> None:
    """Run a command; it may succeed or refuse, in one line."""
    status, _, said = asked(arguments)
    assert status in (0, 2, 3), (arguments, said)
    lines = [line for line in said.splitlines() if line.startswith("cratelm: ")]
    assert len(lines) == (status != 0), (arguments, said)
    if status and "other settings or inputs" not in said:  # which lists the settings, a line each
        assert said.splitlines()[-1] == lines[0], (arguments, said)
    assert "Traceback" not in said


def flip(file: Path, chance: random.Random) -> None:
    """Change one byte."""
    data = bytearray(file.read_bytes() or b"\0")
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def truncate(file: Path, chance: random.Random) -> None:
    """Cut the file off."""
    file.write_bytes(file.read_bytes()[: chance.randrange(max(1, file.stat().st_size))])


def delete(file: Path, chance: random.Random) -> None:
    """Remove the file."""
    file.unlink()


def swap(file: Path, chance: random.Random) -> None:
    """Put another file of the study in its place."""
    others = sorted(path for path in Path.cwd().rglob("*") if path.is_file() and path != file)
    shutil.copyfile(chance.choice(others), file)


def replace(file: Path, chance: random.Random) -> None:
    """Other JSON than is expected."""
    file.write_text(chance.choice(["[]", "null", "{}", "3", '"x"', "[" * 100_000, '{"schema": 1}', ""]))


def add(file: Path, chance: random.Random) -> None:
    """A file of somebody else's."""
    file.with_name("thesis.txt").write_text("mine")


DAMAGE: list[Callable[[Path, random.Random], None]] = [flip, truncate, delete, swap, replace, add]


def files_of(folder: Path) -> dict[Path, bytes]:
    """Every file with its bytes, but logs."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "log" not in path.parts}


@pytest.fixture(scope="module")
def original(study: Path, corpus_file: Path, tmp_path_factory) -> Path:
    """A folder with a study and its corpus."""
    folder = tmp_path_factory.mktemp("original")
    shutil.copytree(study, folder / "study")
    shutil.copyfile(corpus_file, folder / "corpus.txt")
    shutil.copyfile(PUZZLES, folder / "puzzles.json")
    return folder


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(sorted(LIGHT)), st.sampled_from(DAMAGE), st.integers(0, 2**32))
def test_a_damaged_folder_is_refused_in_one_line_and_no_file_is_lost(original, command, damage, seed) -> None:
    require_nothing_lost(original, command, damage, random.Random(seed))


@pytest.mark.parametrize("command", [pytest.param("view", marks=pytest.mark.slow), *HEAVY])
@settings(max_examples=max(2, EXAMPLES // 8))
@given(st.sampled_from(DAMAGE), st.integers(0, 2**32))
def test_what_takes_longer_refuses_a_damaged_folder_in_one_line_too(original, command, damage, seed) -> None:
    require_nothing_lost(original, command, damage, random.Random(seed))


def require_nothing_lost(original: Path, command: str, damage: Callable, chance: random.Random) -> None:
    """Damage a file that a command reads, and run it."""
    with TemporaryDirectory() as name, chdir(name):
        shutil.copytree(original, name, dirs_exist_ok=True)
        touched = [word for word in COMMANDS[command] if (Path(name) / word).exists()]
        files = sorted(path for word in touched for path in named_by(Path(name) / word)) or [Path(name, "corpus.txt")]
        damage(chance.choice(files), chance)
        before = files_of(Path(name))
        require_clear(COMMANDS[command])
        after = files_of(Path(name))
        assert {path: after.get(path) for path in before} == before


def named_by(place: Path) -> list[Path]:
    """The files of a folder, or the file itself."""
    return [place] if place.is_file() else list(files_of(place))


WRITERS = [name for name, words in COMMANDS.items() if "made" in words]


# `view` works in a folder of a name that nobody else has.
@pytest.mark.parametrize(
    ("place", "command"),
    [*(("made", name) for name in WRITERS), *(("made.partial", name) for name in WRITERS if name != "view")],
)
def test_a_file_of_somebody_elses_where_a_stage_would_write_stays_and_enters_nothing(
    command, place, original, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    (tmp_path / place).mkdir()
    (tmp_path / place / "thesis.txt").write_text("mine")
    status, _, said = asked(COMMANDS[command])
    assert status == 2
    assert place in said.splitlines()[-1]
    assert [path.name for path in (tmp_path / place).iterdir()] == ["thesis.txt"]


def at_and_beyond(limits: Range) -> list[str]:
    """The smallest number of a range, numbers outside, and what is no number."""
    step = 1 if limits.kind is int else 0.5
    outside = [limits.least - step, limits.most + step, -(10**30), 10**30]
    return [str(limits.least), *map(str, outside), "nan", "inf", "-inf", "1e400", "2.9.1", "x", "", "9" * 5000]


RUN = {command.split()[0]: words for command, words in COMMANDS.items()}
OPTIONS = [(name, option, limits) for name, option, limits in numeric_options() if name in RUN]


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(OPTIONS), st.data())
def test_a_number_at_or_beyond_its_range_is_used_or_refused_in_one_line(original, option, data) -> None:
    command, name, limits = option
    value = data.draw(st.sampled_from(at_and_beyond(limits)))
    words = RUN[command]
    kept = [word for place, word in enumerate(words) if name not in (word, words[place - 1])]
    with TemporaryDirectory() as folder, chdir(folder):
        shutil.copytree(original, folder, dirs_exist_ok=True)
        before = files_of(Path(folder))
        if command == "study":  # at its smallest numbers it would run for minutes
            kept = [word if word != "study" or not place else "made" for place, word in enumerate(kept)]
            value = value if value != str(limits.least) else str(limits.most + 1)
        require_clear([*kept, f"{name}={value}"])
        assert before.items() <= files_of(Path(folder)).items()


def test_an_export_of_the_viewer_takes_no_folder_of_somebody_elses(original, tmp_path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "thesis.txt").write_text("mine")
    status, _, said = asked(["view", str(original / "study"), "--export", str(tmp_path / "pages")])
    assert status == 2
    assert "pages exists" in said
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["thesis.txt"]


def test_a_reproduction_writes_over_no_readme_of_somebody_elses(tmp_path) -> None:
    (tmp_path / "README.md").write_text("mine")
    for more in (["--page"], ["--only", "*-crate-s0"]):
        status, _, said = asked(["reproduce", "--quick", "--out", str(tmp_path), *more])
        assert status == 2
        assert "holds no results of cratelm reproduce" in said
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_an_error_of_the_viewer_shows_no_path_of_this_machine(original) -> None:
    from cratelm.viewer.api import Viewer
    from cratelm.viewer.viewed_study import Study

    viewer = Viewer(Study(original / "study"), None)
    said = viewer._without_paths(InputError(f"{original}/study/records/crate/units.parquet is damaged."))
    assert said == "STUDY/records/crate/units.parquet is damaged."


def test_json_for_other_programs_has_no_nan(capsys) -> None:
    print_json({"a": [float("nan"), 1.5], "b": (float("inf"), "é\udce9")})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"a": [None, 1.5], "b": [None, "é\udce9"]}
    assert printed.isascii()


def test_a_database_of_somebody_elses_is_not_taken_for_a_judges_answers(tmp_path) -> None:
    from cratelm.llm.cache import Answers

    with sqlite3.connect(tmp_path / "mine.db") as database:
        database.execute("create table thesis (text)")
    before = (tmp_path / "mine.db").read_bytes()
    with pytest.raises(InputError, match="is a database of something else"):
        Answers(tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_bytes() == before


@pytest.mark.parametrize("place", ["new/folder/x.pt", "x.pt"])
def test_a_model_is_exported_whole_wherever_it_shall_go(place, original, tmp_path) -> None:
    model = str(original / "study" / "models" / "crate" / "model")
    assert asked(["import", model, str(tmp_path / place), "--to-official"])[0] == 0
    assert [path.name for path in (tmp_path / place).parent.iterdir()] == ["x.pt"]


def test_a_text_that_is_no_checkpoint_is_refused_in_one_line(original, tmp_path) -> None:
    require_clear(["import", str(original / "corpus.txt"), str(tmp_path / "model")])
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_is_no_address_is_the_inputs_fault(original) -> None:
    status, _, said = asked(["view", str(original / "study"), "--host", "999.1.1.1"])
    assert status == 2
    assert "--host 999.1.1.1 is not an address" in said
