"""Which text a study, a recording or a model was made of, as far as the folders here tell."""

from pathlib import Path
from typing import Any

from cratelm.artifacts import MANIFEST, STUDY, Artifact, read_object
from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.sources import HUB
from cratelm.errors import InputError

OWN = "a corpus of its author's own"
"""How results that leave this machine call text that has no public name: its path is nobody's business."""


def corpus_of_study(folder: Path) -> str:
    """The corpus of a study or of a measured model, as its author named it: packaged, of the hub, or a path.

    Raises InputError where the study's settings name none.
    """
    settings = read_object(folder / STUDY)
    of_study = settings.get("corpus")
    named = of_study.get("corpus") if isinstance(of_study, dict) else settings.get("text")
    if not isinstance(named, str):
        raise InputError(f"{folder / STUDY} is damaged (it names no corpus). Restore it from a copy.")
    made = Path(named) / MANIFEST
    return read_object(made, config=dict)["config"].get("corpus", named) if made.is_file() else named


def corpus_of_stage(stage: Artifact) -> str | None:
    """The corpus of a recording or of a trained model; None unless the tokens that it was made of lie near it."""
    asked = stage.manifest["inputs"].get("tokens")
    for folder in stage.path.resolve().parents[:3]:
        tokens = Artifact(folder / "tokens", {})
        if (tokens.path / MANIFEST).is_file() and tokens.sha256 == asked:
            config: dict[str, Any] = read_object(tokens.path / MANIFEST, config=dict)["config"]
            return config.get("corpus")
    return None


def public_name(corpus: str | None) -> str:
    """What others may read of a corpus's name."""
    public = corpus is not None and (corpus in PACKAGED or corpus.startswith(HUB))
    return str(corpus) if public else OWN
