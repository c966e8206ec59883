"""`cratelm score`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.ranges import number
from cratelm.score.config import ScoreConfig
from cratelm.shards.config import EngineConfig


def score(
    records: Path,
    /,
    *,
    explanations: Path,
    out: Path,
    protocol: str | None = None,
    json: bool = False,
    plan: bool = False,
    price: Annotated[float, number(least=0, most=1_000_000)] = 0,
    settings: Annotated[ScoreConfig, Parameter(name="*")] = ScoreConfig(),
    engine: Annotated[EngineConfig, Parameter(name="*")] = EngineConfig(),
    judge: Annotated[JudgeConfig, Parameter(name="*")] = JudgeConfig(),
    asking: Annotated[AskingConfig, Parameter(name="*")] = AskingConfig(),
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
        `strict`, `short` or `paper`: refuse records of another protocol. By default, whichever they were made by.
    json
        Print the means as JSON on stdout.
    plan
        Print what would be asked of the language model, and what it costs; send nothing.
    price
        The price of a million tokens, for --plan, in any currency.

    Examples
    --------
    cratelm score records --explanations explanations --out scores
    """
    from cratelm.artifacts import open_artifact
    from cratelm.explain.explain import explainers_of
    from cratelm.llm.config import open_judge
    from cratelm.progress import Progress
    from cratelm.records.store import require_protocol
    from cratelm.report.means import print_means
    from cratelm.score.score import plan_score
    from cratelm.score.score import score as score_records

    with Progress() as progress:
        opened = open_artifact(records, "records"), open_artifact(explanations, "explanations")
        require_protocol(opened[0], protocol)
        if plan:
            from cratelm.commands.validate_judge import print_plan

            print_plan(plan_score(settings, *opened, price, progress, judge), json)
            return
        model = open_judge(judge, asking) if any(by.in_words for by in explainers_of(opened[1])) else None
        made = score_records(settings, *opened, out, progress, engine, judge, model)
    print_means(made, opened[0], json)
