"""What a person is told of the demo study before it opens."""

from pathlib import Path

from cratelm.artifacts import STUDY, read_object
from cratelm.progress import Progress


def say_what_it_is(study: Path, progress: Progress) -> None:
    """Say in two lines what the study shows, and where it lies."""
    asked = read_object(study / STUDY, training=dict, shape=dict, corpus=dict)
    layers, width = asked["shape"]["layers"], asked["shape"]["width"]
    progress.say(
        f"CRATE and GPT-2 with {layers} layers of {4 * width} units each, trained on {asked['training']['tokens']:,} "
        f"tokens of Python (sympy, BSD-3-Clause): what each unit fires on, and how well that can be explained."
    )
    progress.say(f"The study is in {study}. In a terminal: cratelm show {study} crate/1/37")
