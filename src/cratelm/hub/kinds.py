"""What can be sent: one registration each, and the first that recognises a folder is taken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cratelm.artifacts import MANIFEST, STUDY, Artifact, open_unhashed, read_object
from cratelm.corpus.provenance import corpus_of_stage, corpus_of_study
from cratelm.errors import InputError
from cratelm.hub import card
from cratelm.hub.contents import Contents, model_contents, pages_contents, stage_contents, study_contents
from cratelm.models.save import SAVED
from cratelm.models.subject import NEEDED, SAES, model_folder
from cratelm.viewer.static_pages import EXPORTED, TEXT

NOTICES = ("NOTICE*", "LICENSE*", "LICENCE*")
"""Files of a study's folder that the licence of its text may ask for."""
Card = Callable[[Path, str, str | None, str | None], str]
"""A folder, the repository's name, the corpus and the licence of its text -> README.md."""


@dataclass(frozen=True)
class Kind:
    """A kind of folder, and the repository that it becomes."""

    name: str
    repository_type: str
    """As the hub calls it: `model`, `dataset`, `space`."""
    excerpts: bool
    """Whether what is sent holds excerpts of the text."""
    recognises: Callable[[Path], bool]
    contents: Callable[[Path], Contents]
    """The files; InputError where one is damaged."""
    corpus: Callable[[Path], str | None]
    """The text's name, where the folder tells it."""
    card: Card
    then: str
    """What to do with it once it is there, with `{repository}` in it."""
    sdk: str | None = None
    """How the hub runs a Space: `static` serves its files."""


def kind_of(folder: Path) -> Kind:
    """The kind that a folder is of; InputError where it is of none."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not there. Give the folder of a study, a recording, a model, or an export.")
    found = next((kind for kind in KINDS if kind.recognises(folder)), None)
    if found is None:
        raise InputError(
            f"{folder} holds none of these, finished: {', '.join(kind.name for kind in KINDS)}. Explanations, scores "
            "and autoencoders are sent with their study."
        )
    return found


def _is_study(folder: Path) -> bool:
    return (folder / STUDY).is_file()


def _holds_stage(folder: Path, stage: str) -> bool:
    return (folder / MANIFEST).is_file() and read_object(folder / MANIFEST).get("stage") == stage


def _is_recording(folder: Path) -> bool:
    return _holds_stage(folder, "records")


def _is_model(folder: Path) -> bool:
    return _holds_stage(folder, "model") or ((folder / "config.json").is_file() and not (folder / SAES).is_file())


def _is_export(folder: Path) -> bool:
    page = folder / "index.html"
    return page.is_file() and EXPORTED in page.read_text(encoding="utf-8", errors="replace")


def _study_files(folder: Path) -> Contents:
    notices = sorted(path.name for pattern in NOTICES for path in folder.glob(pattern) if path.is_file())
    return study_contents(folder, (STUDY, *notices))


def _recording_files(folder: Path) -> Contents:
    return stage_contents(folder, "records")


def _model_files(folder: Path) -> Contents:
    if (folder / MANIFEST).is_file():
        stage_contents(folder, "model")  # a damaged file is refused, whether or not it is sent
    return model_contents(model_folder(Artifact(folder, {})), folder, tuple(dict.fromkeys((*SAVED, *NEEDED))))


def _recording_text(folder: Path) -> str | None:
    return corpus_of_stage(open_unhashed(folder, "records"))


def _model_text(folder: Path) -> str | None:
    return corpus_of_stage(open_unhashed(folder, "model")) if (folder / MANIFEST).is_file() else None


def _export_text(folder: Path) -> str | None:
    return read_object(folder / TEXT).get("corpus") if (folder / TEXT).is_file() else None


LOOK, LOAD = "cratelm view hub:{repository}", 'cratelm.load("{repository}")'
KINDS = (
    Kind("study", "dataset", True, _is_study, _study_files, corpus_of_study, card.study_card, LOOK),
    Kind(
        *("recording", "dataset", True, _is_recording, _recording_files, _recording_text, card.records_card),
        'cratelm.open("hub:{repository}")',
    ),
    Kind("model", "model", False, _is_model, _model_files, _model_text, card.model_card, LOAD),
    Kind(
        *("export of the viewer", "space", True, _is_export, pages_contents, _export_text, card.pages_card),
        "the pages are at https://huggingface.co/spaces/{repository}",
        sdk="static",
    ),
)
