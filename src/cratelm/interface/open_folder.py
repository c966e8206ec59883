"""A folder that cratelm made, or a model's: what it is, its manifest says."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cratelm.artifacts import MANIFEST, STUDY, open_unhashed, read_object
from cratelm.errors import InputError
from cratelm.hub.fetch import local_folder
from cratelm.interface.opened_stages import OpenedExplanations, OpenedRecording, OpenedScores
from cratelm.interface.opened_study import OpenedStudy

if TYPE_CHECKING:
    from cratelm.interface.loaded_model import LoadedModel

    Opened = OpenedStudy | OpenedRecording | OpenedExplanations | OpenedScores | LoadedModel


def _model(folder: Path) -> "LoadedModel":
    from cratelm.interface.loaded_model import load

    return load(folder)


OPENERS: dict[str, Callable[[Path], "Opened"]] = {
    "records": lambda folder: OpenedRecording(open_unhashed(folder, "records")),
    "explanations": lambda folder: OpenedExplanations(open_unhashed(folder, "explanations")),
    "scores": lambda folder: OpenedScores(open_unhashed(folder, "scores")),
    "model": _model,
    "sae": _model,
}
"""By the stage that a manifest names."""


def open(folder: str | Path) -> "Opened":
    """What is in a folder: a study, a measured model, a recording, explanations, scores, or a model. It may also be a
    study or a recording of the hub, `hub:OWNER/NAME[@REVISION]`, which is downloaded unless HF_HUB_OFFLINE=1.

    Returns an `OpenedStudy`, `OpenedRecording`, `OpenedExplanations`, `OpenedScores` or `LoadedModel`. Raises
    InputError where the folder is none of these, or is not finished.

    >>> import cratelm
    >>> cratelm.open(STUDY).models[0]
    'crate'
    >>> cratelm.open(STUDY + "/records/crate")  # doctest: +ELLIPSIS
    <records in ...crate>
    """
    path = local_folder(folder)
    if not path.is_dir():
        raise InputError(f"{path} is not there. Give the folder of a study, of a stage, or of a model.")
    if (path / STUDY).is_file():
        return OpenedStudy(path)
    if (path / MANIFEST).is_file():
        stage = read_object(path / MANIFEST).get("stage")
        if stage not in OPENERS:
            raise InputError(f"{path} holds the stage {stage!r}; what opens here: a study, {', '.join(OPENERS)}.")
        return OPENERS[stage](path)
    if (path / "config.json").is_file():
        return _model(path)
    raise InputError(
        f"{path} is neither a folder of cratelm's nor a model: it holds no {STUDY}, {MANIFEST} or config.json. "
        "Give a study's folder, or that of a stage; cratelm.load takes names of the hub."
    )
