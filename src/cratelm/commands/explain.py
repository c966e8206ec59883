"""`cratelm explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cratelm.explain.config import ExplainConfig
from cratelm.llm.config import AskingConfig, JudgeConfig
from cratelm.ranges import number

if TYPE_CHECKING:
    from cratelm.artifacts import Artifact


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
    """Explain every unit of a recording.

    Explainers without a language model explain every unit; a language model, a sample of them.

    Parameters
    ----------
    records
        A folder that `cratelm record` or a study made.
    out
        The folder to write.
    protocol
        `strict`, `short` or `paper`: refuse records of another protocol. By default, whichever they were made by.
    plan
        Print what would be asked of the language model, and what it costs; send nothing.
    price
        The price of a million tokens, for --plan, in any currency.

    Examples
    --------
    cratelm explain records --explainer table,graph,rules --out explanations
    """
    from cratelm.artifacts import open_artifact
    from cratelm.explain.explain import explain as explain_records
    from cratelm.explain.explain import plan_explain
    from cratelm.explain.registry import explainers_named
    from cratelm.llm.config import open_judge
    from cratelm.progress import Progress
    from cratelm.records.store import read_layers, require_protocol

    with Progress() as progress:
        opened = open_artifact(records, "records")
        require_protocol(opened, protocol)
        if plan:
            from cratelm.commands.validate_judge import print_plan

            print_plan(plan_explain(settings, opened, price, judge), json=False)
            return
        in_words = any(explainer.in_words for explainer in explainers_named(settings.explainer))
        model = open_judge(judge, asking) if in_words else None
        made = explain_records(settings, opened, out, progress, judge, model)
    _print(made, layers=len(read_layers(opened)))


def _print(made: "Artifact", layers: int) -> None:
    """Say how many units each explainer explained, with an example, and why explanations could not be used."""
    from rich.console import Console

    from cratelm.explain.explain import explainers_of, explainers_that_spoke
    from cratelm.explain.explainers.llm import count_failures
    from cratelm.report.text import visible

    console = Console(highlight=False, markup=False, soft_wrap=True)
    spoken = explainers_that_spoke(made)  # not every protocol keeps what each of them needs
    for explainer in explainers_of(made):
        if explainer.speaks and explainer.name in spoken:
            sentences = _usable_sentences(made, layers, explainer.name)
            address, sentence = sentences[0] if sentences else ("", "")
            example = f", such as unit {address}: {visible(sentence)}" if sentences else "."
            console.print(f"{len(sentences):,} units explained by {explainer.name}{example}")
    for reason, count in count_failures(made).most_common():
        console.print(f"{count:,} explanations could not be used: {visible(reason)}")


def _usable_sentences(made: "Artifact", layers: int, explainer: str) -> list[tuple[str, str]]:
    """Each explained unit as layer/unit, and its explanation."""
    from cratelm.explain.explain import read_sentences
    from cratelm.explain.explainers.llm import FAILURE_PREFIX

    return [
        (f"{layer}/{unit}", sentence)
        for layer in range(layers)
        for unit, sentence in enumerate(read_sentences(made, layer, explainer))
        if sentence is not None and not sentence.startswith(FAILURE_PREFIX)
    ]
