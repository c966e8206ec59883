"""`cratelm score`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.score.config import ScoreConfig
from cratelm.shards import EngineConfig


def score(
    records: Path,
    /,
    *,
    explanations: Path,
    out: Path,
    protocol: str | None = None,
    json: bool = False,
    settings: Annotated[ScoreConfig, Parameter(name="*")] = ScoreConfig(),
    engine: Annotated[EngineConfig, Parameter(name="*")] = EngineConfig(),
) -> None:
    """Score explanations on text that their explainers have not seen.

    Parameters
    ----------
    records
        A folder that `cratelm record` or a study made.
    explanations
        The folder that `cratelm explain` made of these records.
    out
        The folder to write.
    protocol
        `strict` or `paper`: refuse records of the other protocol. By default, whichever they were made by.
    json
        Print the means as JSON on stdout.
    """
    from cratelm.artifacts import open_artifact
    from cratelm.progress import Progress
    from cratelm.records.store import require_protocol
    from cratelm.report.means import print_means
    from cratelm.score.score import score as score_records

    with Progress() as progress:
        opened = open_artifact(records, "records"), open_artifact(explanations, "explanations")
        require_protocol(opened[0], protocol)
        made = score_records(settings, *opened, out, progress, engine)
    print_means(made, opened[0], json)
