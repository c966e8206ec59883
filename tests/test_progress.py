"""What a person sees of work under way, and of work that is done."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cratelm.progress import Progress, duration


def shown(terminal: bool = False) -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress(Console(file=text, force_terminal=terminal, width=100)), text


def test_a_finished_stage_leaves_a_line_that_says_which_one_of_how_many_it_was() -> None:
    progress, text = shown()
    progress.expect(3)
    with progress.stage("trained crate"):
        pass
    with progress.stage("trained gpt2", there=True):
        pass
    with progress.stage("measured crate"):
        pass
    assert text.getvalue().splitlines() == [
        "trained crate, under 1 s (1 of 3 stages)",
        "measured crate, under 1 s (3 of 3 stages)",
    ]


def test_a_stage_that_two_processes_tell_of_counts_once_and_one_that_fails_not_at_all() -> None:
    progress, text = shown()
    progress.finish("measured crate", 312)
    progress.finish("measured crate", 0.1)
    with pytest.raises(ValueError, match="broken"), progress.stage("measured gpt2"):
        raise ValueError("broken")
    assert text.getvalue() == "measured crate, 5 min 12 s\n"


def test_work_of_unknown_length_shows_no_count_and_other_work_does() -> None:
    progress, text = shown(terminal=True)
    with progress:
        with progress.task("looking"):
            progress._bars.refresh()
        assert "/?" not in text.getvalue() and "-:--" not in text.getvalue()
        with progress.task("counting", total=4) as bar:
            bar.advance(3)
            progress._bars.refresh()
    assert "3/4" in text.getvalue()


@given(st.integers(1, 10**6))
def test_a_duration_is_the_number_of_seconds_to_within_its_smaller_unit(seconds) -> None:
    units = {"h": 3600, "min": 60, "s": 1}
    words = duration(seconds).split()
    parts = [int(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True)]
    assert 0 <= seconds - sum(parts) < units[words[-1]]
