"""`cratelm record`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.records.config import RecordConfig
from cratelm.shards.config import EngineConfig


def record(
    model: str,
    /,
    settings: Annotated[RecordConfig, Parameter(name="*")] = RecordConfig(),
    *,
    text: str,
    out: Path,
    sae: str | None = None,
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    engine: Annotated[EngineConfig, Parameter(name="*")] = EngineConfig(),
) -> None:
    """Record what every unit of a model fires on.

    Two passes read text that the model was not trained on.

    Parameters
    ----------
    model
        A trained model's folder; any transformers folder with a causal language model and its tokenizer; or the name
        of one on the hub, which is off unless HF_HUB_OFFLINE=0. Nothing in it is executed.
    text
        A folder that `cratelm tokenize` made with the model's tokenizer, or any corpus that it takes.
    out
        The folder to write. Tokens that have to be made first are written next to it, to OUT-tokens.
    sae
        Record the latents of other people's sparse autoencoders: a folder in SAELens's format, with one or several, or
        RELEASE/ID as SAELens knows them on the hub. They are kept next to the records, in OUT-sae, which `cratelm
        steer` takes.

    Examples
    --------
    cratelm record my-model --text reviews --out records
    """
    from cratelm.models.subject import open_subject, tokens_for
    from cratelm.progress import Progress
    from cratelm.records.distributed import on_ranks
    from cratelm.records.record import record as make_records
    from cratelm.sae.public import public_saes
    from cratelm.stages import next_to

    with Progress() as progress, on_ranks() as leads:
        if leads:
            subject = open_subject(model, opening)
            if sae is not None:
                loading = opening.loading(settings.dtype)
                subject = public_saes(sae, subject, next_to(out, "-sae"), progress, loading)
            tokens = tokens_for(subject, text, next_to(out, "-tokens"), progress)
            make_records(settings, subject, tokens, out, progress, engine, opening.device)
