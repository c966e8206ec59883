"""`cratelm effects`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.effects.config import EffectsConfig
from cratelm.loading import DEFAULT_OPENING, OpeningConfig


def effects(
    model: str,
    /,
    settings: Annotated[EffectsConfig, Parameter(name="*")] = EffectsConfig(),
    *,
    records: Path,
    explanations: Path,
    out: Path,
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Set units to zero and measure what changes in the output.

    Units are set to zero one at a time.

    Three questions for a sample of units. Do the logits change as the unembedding says they would (fidelity)? How much
    does the loss grow where the unit fires most (necessity)? Are its effects where its explanation expects activation?

    Parameters
    ----------
    model
        The model that the records are of: its folder, or its name on the hub.
    records
        A folder that `cratelm record` or a study made, with the protocol strict or short.
    explanations
        The folder that `cratelm explain` made of these records.
    out
        The folder to write.
    json
        Print the means as JSON on stdout.

    Examples
    --------
    cratelm effects runs/laptop/models/crate --records runs/laptop/records/crate
        --explanations runs/laptop/explanations/crate --out effects
    """
    from cratelm.artifacts import open_artifact, read_json
    from cratelm.effects.effects import measure_effects
    from cratelm.models.subject import open_subject
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.report.effects import print_effects

    with Progress() as progress:
        opened = open_artifact(records, "records"), open_artifact(explanations, "explanations")
        subject = open_subject(model, opening)
        made = measure_effects(settings, subject, *opened, out, progress, opening.device)
    if json:
        print_json(read_json(made.path / "effects.json"))
    else:
        print_effects(made)
