"""What people call the folder of a stage, and which command makes it: for messages about a folder of another kind."""

from pathlib import Path
from typing import Any

from cratelm.errors import InputError
from cratelm.files import read_object
from cratelm.stages import MANIFEST

STUDY = "study.json"
NAMES = {
    "tokens": ("tokens", "cratelm tokenize"),
    "model": ("a model", "cratelm train or save_pretrained"),
    "sae": ("sparse autoencoders", "cratelm sae"),
    "records": ("a recording", "cratelm record"),
    "explanations": ("explanations", "cratelm explain"),
    "scores": ("scores", "cratelm score"),
    "effects": ("effects", "cratelm effects"),
    "analysis": ("an analysis", "cratelm analyze"),
    "matches": ("matches", "cratelm match"),
    "export": ("an export", "cratelm export"),
    "report": ("a report", "cratelm study"),
    "study": ("a study or of a measured model", "cratelm study or cratelm measure"),
}
"""By the stage that a manifest names."""


def wrong_folder(path: Path, needed: str) -> str:
    """What a folder is, and which one to give instead: the message where the stage `needed` is not in it."""
    words, command = NAMES.get(needed, (needed, ""))
    inside = _inside(path, needed)
    source = f", such as {inside}" if inside else f", which {command} makes" if command else ""
    return f"{what_is(path)} Give the folder of {words}{source}."


def refuse_no_model(path: Path) -> None:
    """Refuse a folder that holds a study, several models, or a stage that is no model; raises InputError."""
    stage = _stage(path)
    if stage in ("model", "sae") or (path / "config.json").is_file():
        return
    if stage is not None or (path / STUDY).is_file() or _stages_in(path) or _inside(path, "model"):
        raise InputError(wrong_folder(path, "model"))


def what_is(path: Path) -> str:
    """One sentence about a folder that is not what was needed."""
    if not path.is_dir():
        return f"there is no folder {path}."
    if (path / STUDY).is_file():
        return f"{path} is a study."
    if (path / MANIFEST).is_file():
        stage = _stage(path)
        return f"{path} holds {NAMES.get(str(stage), (f'the stage {stage!r}',))[0]}."
    if parts := _stages_in(path):
        first = _stage(parts[0])
        return f"{path} holds {len(parts)} folders, such as {parts[0].name}: {NAMES.get(str(first), (first,))[0]}."
    return f"{path} has no {MANIFEST}: cratelm did not make it, or did not finish it."


def _stage(path: Path) -> Any:
    """The stage that a folder's manifest names; None where there is no manifest."""
    return read_object(path / MANIFEST).get("stage") if (path / MANIFEST).is_file() else None


def _stages_in(path: Path) -> list[Path]:
    """The folders of stages right below a folder, such as the models of a study."""
    return sorted(file.parent for file in path.glob(f"*/{MANIFEST}"))


def _inside(path: Path, needed: str) -> str:
    """The first folder of that stage in a study, or in a folder of several; nothing where there is none."""
    folders = {"model": "models"}.get(needed, needed)
    found = sorted([*_stages_in(path / folders), *_stages_in(path)])
    return next((str(folder) for folder in found if _stage(folder) == needed), "")
