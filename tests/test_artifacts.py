"""A stage's folder is whole or not there."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch  # noqa: F401  whose threads a manifest names

from cratelm import artifacts, stages
from cratelm.artifacts import Artifact, Stage, hash_file, open_artifact, run_stage
from cratelm.cli import run
from cratelm.disk import size
from cratelm.errors import InputError, RunError

TOY = Stage("toy", files=("one.txt",), scratch=("half.txt", "shards/*"), kept=("shards/*",))


@dataclass(frozen=True)
class Config:
    size: int = 3


def write_one(folder: Path) -> None:
    (folder / "one.txt").write_text("one")
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "clock.txt").write_text("now")


def make(out: Path, size: int = 3, work=write_one) -> Artifact:
    return run_stage(out, TOY, Config(size), {}, work)


def test_a_finished_stage_is_not_made_again(tmp_path: Path) -> None:
    make(tmp_path / "a")
    calls = []
    artifact = make(tmp_path / "a", work=calls.append)
    assert not calls
    assert artifact.config == {"size": 3}


def test_files_are_hashed_once_when_they_are_made_and_again_when_they_are_asked_for(
    tmp_path: Path, monkeypatch
) -> None:
    hashed: list[Path] = []
    for module in (artifacts, stages):
        monkeypatch.setattr(module, "hash_file", lambda path: hashed.append(path) or hash_file(path))
    make(tmp_path / "a")
    assert [path.name for path in hashed] == ["one.txt"]
    make(tmp_path / "a")
    assert [path.name for path in hashed] == ["one.txt"] * 2


def test_the_manifest_lists_every_output_but_the_log(tmp_path: Path) -> None:
    assert list(make(tmp_path / "a").manifest["outputs"]) == ["one.txt"]


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(InputError, match=r"config\.size: 3 there, 4 asked for"):
        make(tmp_path / "a", size=4)


def test_a_stage_that_dies_leaves_no_folder_and_goes_on_later(tmp_path: Path) -> None:
    def die(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", work=die)
    assert not (tmp_path / "a").exists()
    found = []
    make(
        tmp_path / "a",
        work=lambda folder: found.append((folder / "half.txt").read_text()) or (folder / "half.txt").unlink(),
    )
    assert found == ["half"]


def test_unfinished_work_of_other_settings_is_refused(tmp_path: Path) -> None:
    def die(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", work=die)
    with pytest.raises(InputError, match="other settings"):
        make(tmp_path / "a", size=4)


@pytest.mark.parametrize("harm", [lambda file: file.write_text("two"), lambda file: file.unlink()])
def test_a_damaged_or_missing_file_is_named(tmp_path: Path, harm) -> None:
    make(tmp_path / "a")
    harm(tmp_path / "a" / "one.txt")
    with pytest.raises(InputError, match=r"one\.txt is missing or damaged"):
        open_artifact(tmp_path / "a", "toy")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="is not a finished toy"):
        make(tmp_path / "a")
    make(tmp_path / "b")
    with pytest.raises(InputError, match="Give the folder of other"):
        open_artifact(tmp_path / "b", "other")


def test_two_processes_cannot_work_in_one_folder(tmp_path: Path) -> None:
    def again(folder: Path) -> None:
        make(tmp_path / "a")

    with pytest.raises(InputError, match="another process is working"):
        make(tmp_path / "a", work=again)


def test_a_full_disk_is_the_runs_fault_and_says_what_to_do(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        with Path("/dev/full").open("w") as full:
            full.write("x" * 100_000)

    with pytest.raises(RunError, match="No space left on device"):
        make(tmp_path / "a", work=fill)


def test_an_artifacts_hash_follows_its_inputs(tmp_path: Path) -> None:
    def write(text: str):
        return lambda folder: (folder / "one.txt").write_text(text)

    first, second = (make(tmp_path / name, work=write(name)) for name in ("a", "b"))
    assert first.sha256 != second.sha256
    dependent = run_stage(tmp_path / "c", TOY, Config(), {"first": first}, write_one)
    assert dependent.manifest["inputs"] == {"first": first.sha256}


def stopped(out: Path, name: str = "half.txt") -> Path:
    """A run that was killed after it wrote a file; gives the file."""

    def die(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("hours of work")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(out, work=die)
    return out.with_name(f"{out.name}.partial") / name


def refuse(folder: Path) -> None:
    raise InputError("no such package")


def test_an_error_removes_nothing_that_an_earlier_run_left(tmp_path: Path) -> None:
    left = stopped(tmp_path / "a")
    with pytest.raises(InputError, match="no such package"):
        make(tmp_path / "a", work=refuse)
    assert left.read_text() == "hours of work"


def test_an_error_removes_no_finished_shard_of_its_own_run(tmp_path: Path) -> None:
    def work_and_refuse(folder: Path) -> None:
        (folder / "shards").mkdir()
        (folder / "shards" / "1").write_text("hours of work")
        refuse(folder)

    with pytest.raises(InputError, match="no such package"):
        make(tmp_path / "a", work=work_and_refuse)
    assert (tmp_path / "a.partial" / "shards" / "1").is_file()


def test_a_slip_that_is_noticed_before_anything_is_worth_keeping_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such package"):
        make(tmp_path / "a", work=refuse)
    assert not list(tmp_path.iterdir())


def test_what_the_surroundings_lack_is_told_before_anything_is_touched(tmp_path: Path) -> None:
    def not_ready() -> None:
        raise InputError("needs a GPU")

    left = stopped(tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in left.parent.iterdir()}
    with pytest.raises(InputError, match="needs a GPU"):
        run_stage(tmp_path / "a", TOY, Config(), {}, write_one, not_ready)
    assert {path: path.stat().st_mtime_ns for path in left.parent.iterdir()} == before
    left.unlink()
    finished = make(tmp_path / "a")
    assert run_stage(tmp_path / "a", TOY, Config(), {}, write_one, not_ready) == finished


def test_a_partial_folder_of_somebody_elses_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "one.txt").write_text("a thesis")
    (tmp_path / "b.partial").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "c.partial").symlink_to(tmp_path / "elsewhere")
    run_stage(tmp_path / "d.partial", Stage("other", files=("*",)), Config(), {}, write_one)
    for name in "abcd":
        with pytest.raises(InputError, match=rf"{name}\.partial is in the way"):
            make(tmp_path / name, work=refuse)
    assert (tmp_path / "a.partial" / "one.txt").read_text() == "a thesis"
    assert [path.name for path in (tmp_path / "a.partial").iterdir()] == ["one.txt"]
    assert (tmp_path / "b.partial").read_text() == "a file"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("cut_off", [[], [".lock"], [".lock", "stage.json.new"]])
def test_a_run_that_was_killed_before_it_could_say_what_it_is_goes_on(cut_off, tmp_path: Path) -> None:
    (tmp_path / "a.partial").mkdir()
    for name in cut_off:
        (tmp_path / "a.partial" / name).write_text("")
    assert list(make(tmp_path / "a").manifest["outputs"]) == ["one.txt"]


def test_a_file_of_somebody_elses_never_enters_an_artifact(tmp_path: Path) -> None:
    foreign = stopped(tmp_path / "a").with_name("thesis.txt")
    foreign.write_text("mine")
    with pytest.raises(InputError, match=r"holds 'thesis\.txt', which cratelm did not write"):
        make(tmp_path / "a")
    assert foreign.read_text() == "mine"

    def interrupted(folder: Path) -> None:
        write_one(folder)
        foreign.write_text("mine again")

    foreign.unlink()
    (foreign.parent / "half.txt").unlink()
    with pytest.raises(InputError, match=r"thesis\.txt"):
        make(tmp_path / "a", work=interrupted)
    assert foreign.read_text() == "mine again"
    foreign.unlink()
    foreign.symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        make(tmp_path / "a")
    foreign.unlink()
    assert list(make(tmp_path / "a", work=lambda folder: None).manifest["outputs"]) == ["one.txt"]


DAMAGED = ["[]", "null", "3", "{}", "", "[" * 100_000, '{"schema": 1}', '{"schema": 1, "stage": "toy"}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_manifest_that_holds_something_else_is_named(text, tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a" / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"is damaged|Give the folder of toy|this cratelm reads version"):
        open_artifact(tmp_path / "a", "toy")
    with pytest.raises(InputError):
        make(tmp_path / "a")


@pytest.mark.parametrize("text", DAMAGED)
def test_a_claim_that_holds_something_else_is_refused_and_nothing_removed(text, tmp_path: Path) -> None:
    left = stopped(tmp_path / "a")
    left.with_name("stage.json").write_text(text)
    with pytest.raises(InputError):
        make(tmp_path / "a")
    assert left.read_text() == "hours of work"


@pytest.mark.parametrize("entry", ["sha256", "bytes"])
def test_a_manifest_without_a_files_hash_is_damaged(entry, tmp_path: Path) -> None:
    make(tmp_path / "a")
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    del manifest["outputs"]["one.txt"][entry]
    (tmp_path / "a" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"one\.txt is missing or damaged"):
        open_artifact(tmp_path / "a", "toy")


@pytest.mark.parametrize("out", [".", "/", "..", "x" * 250, "no\0name", "file/under", "dangling", "loop"])
def test_a_place_that_no_folder_can_have_is_refused_before_the_work(out, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    with pytest.raises(InputError):
        make(Path(out), work=lambda folder: pytest.fail("the work began"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "loop"]


def test_the_manifest_names_the_threads_and_a_run_goes_on_only_with_as_many(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    left = stopped(tmp_path / "a")
    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"begun on 2 threads, this process has 3"):
        patch.setattr("torch.get_num_threads", lambda: 3)
        make(tmp_path / "a")
    left.unlink()
    manifest = make(tmp_path / "a").manifest
    assert (manifest["threads"], manifest["OMP_NUM_THREADS"]) == (2, "2")


@pytest.mark.parametrize("kind", [Exception, RuntimeError, ValueError])
def test_a_full_disk_that_another_library_notices_is_the_runs_fault(kind, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        raise kind("No space left on device (os error 28)")

    with pytest.raises(RunError, match="No space left on device"):
        make(tmp_path / "a", work=fill)


def test_a_setting_that_is_true_is_not_the_same_as_one(tmp_path: Path) -> None:
    make(tmp_path / "a", size=1)
    with pytest.raises(InputError, match=r"config\.size: 1 there, True asked for"):
        make(tmp_path / "a", size=True)


def test_bytes_are_written_in_the_unit_that_says_something() -> None:
    assert [size(count) for count in (12, 13_400, 2_400_000, 7.2e10)] == ["12 bytes", "13 kB", "2.4 MB", "72 GB"]


def test_nothing_is_made_inside_a_finished_result(tokens, capsys) -> None:
    before = sorted(tokens.path.rglob("*"))
    inside = tokens.path / "more" / "out"
    assert run(["tokenize", str(tokens.path), "--out", str(inside)]) == 2
    assert f"{inside} lies inside {tokens.path}, a finished result." in capsys.readouterr().err
    assert sorted(tokens.path.rglob("*")) == before
