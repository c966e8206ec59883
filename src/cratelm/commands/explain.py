"""`cratelm explain`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.explain.config import ExplainConfig
from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.ranges import number


def explain(
    records: Path,
    /,
    *,
    out: Path,
    protocol: str | None = None,
    plan: bool = False,
    price: Annotated[float, number(least=0, most=1_000_000)] = 0,
    settings: Annotated[ExplainConfig, Parameter(name="*")] = ExplainConfig(),
    judge: Annotated[JudgeConfig, Parameter(name="*")] = JudgeConfig(),
    asking: Annotated[AskingConfig, Parameter(name="*")] = AskingConfig(),
) -> None:
    """Explain every unit of a recording, without a language model; and a sample of them with one.

    Parameters
    ----------
    records
        A folder that `cratelm record` or a study made.
    out
        The folder to write.
    protocol
        `strict` or `paper`: refuse records of the other protocol. By default, whichever they were made by.
    plan
        Print what would be asked of the language model, and what it costs; send nothing.
    price
        The price of a million tokens, for the plan.
    """
    from rich.console import Console

    from cratelm.artifacts import open_artifact
    from cratelm.explain.explain import explain as explain_records
    from cratelm.explain.explain import plan_explain, read_sentences
    from cratelm.explain.explainers.llm import FAILED, count_failures
    from cratelm.explain.registry import explainers_named
    from cratelm.llm.config import open_judge
    from cratelm.progress import Progress
    from cratelm.records.store import read_layers, require_protocol
    from cratelm.report.text import visible

    with Progress() as progress:
        opened = open_artifact(records, "records")
        require_protocol(opened, protocol)
        if plan:
            from cratelm.commands.validate_judge import print_plan

            print_plan(plan_explain(settings, opened, price, judge), json=False)
            return
        explainers = explainers_named(settings.explainer)
        in_words = any(explainer.in_words for explainer in explainers)
        model = open_judge(judge, asking) if in_words else None
        made = explain_records(settings, opened, out, progress, judge, model)
    layers = range(len(read_layers(opened)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for explainer in (one.name for one in explainers if one.speaks):
        said = [
            (f"{layer}/{unit}", sentence)
            for layer in layers
            for unit, sentence in enumerate(read_sentences(made, layer, explainer))
            if sentence is not None and not sentence.startswith(FAILED)
        ]
        example = f", such as unit {said[0][0]}: {visible(said[0][1])}" if said else "."
        console.print(f"{len(said):,} units explained by {explainer}{example}")
    for reason, count in count_failures(made).most_common():
        console.print(f"{count:,} explanations could not be used: {visible(reason)}")
