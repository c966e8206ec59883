"""The demo study is unpacked once, whole or not at all."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cratelm.demo import unpack
from cratelm.errors import InputError, RunError
from cratelm.progress import Progress
from tests.shared import state_of


@pytest.fixture
def package(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in place of the package's, with the small study's archive in it, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "package"
    folder.mkdir()
    shutil.copy(archive, folder / unpack.ARCHIVE)
    monkeypatch.setattr(unpack, "files", lambda package: folder)
    return folder


def test_a_second_call_unpacks_nothing(package: Path, quiet: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpack.unpack_demo(quiet)
    before = state_of(folder)
    monkeypatch.setattr(unpack, "_unpack", None)  # whoever calls it fails
    assert unpack.unpack_demo(quiet) == folder
    assert state_of(folder) == before and len(before) > 30


def test_it_lies_in_the_users_cache_folder(package: Path, quiet: Progress, tmp_path: Path) -> None:
    assert unpack.unpack_demo(quiet) == tmp_path / "cache" / "cratelm" / "demo"
    assert sorted(path.name for path in (tmp_path / "cache" / "cratelm").iterdir()) == ["demo", "demo.lock"]


def test_another_versions_study_is_replaced(package: Path, quiet: Progress) -> None:
    folder = unpack.unpack_demo(quiet)
    (folder / "of the old version").write_text("")
    archive = package / unpack.ARCHIVE
    archive.write_bytes(archive.read_bytes() + bytes(4))  # xz allows zeros behind its end
    assert unpack.unpack_demo(quiet) == folder
    assert not (folder / "of the old version").exists()


def test_a_damaged_file_is_unpacked_again(package: Path, quiet: Progress) -> None:
    file = unpack.unpack_demo(quiet) / "records" / "crate" / "units.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    unpack.unpack_demo(quiet)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("after", [0, 7, 40])
def test_a_killed_unpack_leaves_nothing_and_the_next_one_is_whole(
    after: int, package: Path, quiet: Progress, tmp_path: Path
) -> None:
    code = f"""
import os, signal, tarfile
from pathlib import Path
from cratelm.demo import unpack
from cratelm.progress import Progress
unpack.files = lambda package: Path({str(package)!r})
write, written = tarfile.TarFile.makefile, []
def die(self, *args):
    if len(written) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(args)
    write(self, *args)
tarfile.TarFile.makefile = die
unpack.unpack_demo(Progress())
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "cache" / "cratelm" / "demo").exists()
    folder = unpack.unpack_demo(quiet)
    assert unpack._is_whole(folder, unpack.hash_file(package / unpack.ARCHIVE))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["demo", "demo.lock"]


def test_a_cache_folder_that_cannot_be_written_is_named(
    package: Path, quiet: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        unpack.unpack_demo(quiet)


def test_an_installation_without_the_study_says_so(package: Path, quiet: Progress) -> None:
    (package / unpack.ARCHIVE).unlink()
    with pytest.raises(RunError, match="Install cratelm again"):
        unpack.unpack_demo(quiet)


def test_an_entry_that_points_outside_is_refused(package: Path, quiet: Progress, tmp_path: Path) -> None:
    import io
    import tarfile

    with tarfile.open(package / unpack.ARCHIVE, "w:xz") as archive:
        entry = tarfile.TarInfo("../outside")
        archive.addfile(entry, io.BytesIO())
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack.unpack_demo(quiet)
    assert not (tmp_path / "cache" / "cratelm" / "outside").exists()
