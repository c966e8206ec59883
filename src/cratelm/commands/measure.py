"""`cratelm measure`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.measure_config import MeasureConfig


def measure(
    model: str,
    /,
    *,
    out: Path | None = None,
    json: bool = False,
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    settings: Annotated[MeasureConfig, Parameter(name="*")] = MeasureConfig(),
) -> None:
    """Record, explain and score every unit of a model that you have.

    Parameters
    ----------
    model
        A trained model's folder; any transformers folder with a causal language model and its tokenizer; or the name
        of one on the hub, which is off unless HF_HUB_OFFLINE=0. Nothing in it is executed.
    out
        The folder to write; by default neurons/NAME, and neurons/NAME+sae with --sae. Give the same command again to
        resume it.
    json
        Print the means as JSON on stdout.

    Examples
    --------
    cratelm measure my-model --text reviews
    """
    import shlex

    from rich.console import Console

    from cratelm.measure import measure as measure_model
    from cratelm.measure import units_of
    from cratelm.progress import Progress
    from cratelm.report.means import print_means

    folder = out or Path("neurons") / units_of(model, settings)
    with Progress() as progress:
        measured = measure_model(settings, model, folder, progress, opening)
    print_means(measured.scores, measured.records, json)
    if not json:
        look = shlex.join(["cratelm", "view", str(folder)])
        said = f"Look at the neurons and steer with them: {look}"
        Console().print(said, markup=False, soft_wrap=True, highlight=False)
