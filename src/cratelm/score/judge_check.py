"""What a judge is made of: it reads puzzles whose answers are known before it reads anything else."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cratelm.artifacts import Artifact, read_json
from cratelm.judges.puzzles import read_puzzles
from cratelm.judges.sentences import Reader
from cratelm.judges.validation import judge_puzzles, summary

JUDGE = "judge.json"
"""The file, among the scores, that says who read them and what it is worth."""


def try_on_puzzles(reader: Reader, puzzles: str | None) -> dict[str, Any]:
    """The judge's name and simulator, and what it made of the puzzles."""
    read = read_puzzles(Path(puzzles) if puzzles else None)
    judged, _ = judge_puzzles(reader.simulator, reader.model, read, reader.bar)
    return {"judge": reader.model.name, "simulator": reader.simulator} | asdict(summary(judged))


def read_trial(scores: Artifact) -> dict[str, Any] | None:
    """What is known of the judge of some scores; None where no language model had a part in them."""
    path = scores.path / JUDGE
    return read_json(path) if path.is_file() else None
