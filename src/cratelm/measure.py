"""A model as it is, from its name to a folder of neurons that `cratelm view` shows.

DIR/study.json                  what was asked for
DIR/tokens                      held-out text, cut by the model's own tokenizer
DIR/models/NAME                 a link to the model
DIR/models/NAME+sae             with --sae: the autoencoders on it, whose name all that follows has then
DIR/records/NAME, explanations/NAME, scores/NAME
"""

import os
from dataclasses import replace
from pathlib import Path

from cratelm.artifacts import Artifact, as_plain, claim_study, is_finished, require_same_study
from cratelm.explain.explain import explain
from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.measure_config import MeasureConfig
from cratelm.models.subject import open_subject, tokens_for
from cratelm.progress import Progress
from cratelm.records.record import record
from cratelm.report.measured import Measured
from cratelm.sae.public import public_saes
from cratelm.score.score import score


def measure(
    config: MeasureConfig, model: str, out: Path, progress: Progress, opening: OpeningConfig = DEFAULT_OPENING
) -> Measured:
    """Record, explain and score every unit of `model` in `out`; finished stages are reused.

    `model` is a folder or a name of the hub, as `open_subject` takes it. Raises InputError where it cannot be opened,
    or `out` holds something else.
    """
    name = name_of(model)
    # A folder has many spellings, and may move; what is in it, the stages check.
    asked = as_plain(config) | {"model": name if Path(model).is_dir() else model, "revision": opening.revision}
    require_same_study(out, asked)
    subject = open_subject(model, opening)
    progress.expect(4 if config.sae is None else 5)
    with progress.stage("tokenized the text", is_finished(out / "tokens") or is_finished(Path(config.text))):
        tokens = tokens_for(subject, config.text, out / "tokens", progress)
    claim_study(out, asked)
    subject = base = _known_by_name(subject)
    if config.sae is not None:
        name = units_of(model, config)
        loading = opening.loading(config.records.dtype)
        with progress.stage("opened the autoencoders", is_finished(out / "models" / name)):
            subject = public_saes(config.sae, base, out / "models" / name, progress, loading)
    with progress.stage(f"recorded {name}", is_finished(out / "records" / name)):
        records = record(config.records, subject, tokens, out / "records" / name, progress, device=opening.device)
    _link(base, out / "models" / name_of(model))
    with progress.stage(f"explained {name}", is_finished(out / "explanations" / name)):
        explanations = explain(config.explain, records, out / "explanations" / name, progress)
    with progress.stage(f"scored {name}", is_finished(out / "scores" / name)):
        scores = score(config.score, records, explanations, out / "scores" / name, progress)
    return Measured(model=subject, records=records, explanations=explanations, scores=scores)


def units_of(model: str, config: MeasureConfig) -> str:
    """What the model is called with what is measured on it."""
    return name_of(model) + ("+sae" if config.sae is not None else "")


def name_of(model: str) -> str:
    """What a model is called in its folder: the last part of its path, or of its name on the hub."""
    path = Path(model)
    return (path.resolve() if path.is_dir() else path).name


def _known_by_name(subject: Artifact) -> Artifact:
    """The model by the folder that it really is in, whose name results say: `.` and a link have another, or none."""
    return replace(subject, path=subject.path.resolve())


def _link(subject: Artifact, link: Path) -> None:
    """Make `link` lead to the model, which may have moved since; only once its records say that it is the same."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_dir() or not link.samefile(subject.path):
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(subject.path, link.parent.resolve()))
