"""A stage that is killed at any of its writes goes on, and ends with the bytes of one that was not."""

from pathlib import Path

import pytest

from tests import killed


@pytest.mark.parametrize(
    ("make", "writes", "more"), [(killed.make_report, 2, 2), (killed.make_export, 3, 3), (killed.make_saes, 4, 2)]
)
def test_a_stage_that_is_killed_again_and_again_ends_with_the_same_bytes(make, writes, more, study, tmp_path) -> None:
    make(tmp_path / "whole", study)
    kills = killed.make_with_kills(make, tmp_path / "killed", study, writes, more)
    assert kills >= 2
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert not (tmp_path / "killed.partial").exists()


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "log" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
