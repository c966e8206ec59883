"""What a language model makes of the units that it was asked about, and what the model itself is worth."""

from typing import Any

from cratelm.report.text import visible

FAILS = " (FAILS)"
"""Stands wherever the numbers of a judge stand that failed its puzzles."""


def told(trial: dict[str, Any]) -> str:
    """Who judged, what it made of its puzzles, and how its answers failed."""
    mark = "" if trial["passes"] else f"{FAILS}: its numbers say nothing"
    failures = ", ".join(f"{count:,} {visible(reason)}" for reason, count in sorted(trial["failures"].items()))
    lost = f"; of {trial['answers']:,} answers could not be used: {failures}" if failures else ""
    return (
        f"Judge: {visible(trial['judge'])}, {trial['simulator']}; the truth is first in {trial['first']} of "
        f"{trial['puzzles']} puzzles{mark}{lost}."
    )
