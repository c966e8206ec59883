"""What a language model makes of the units that it was asked about, and what the model itself is worth."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cratelm.explain.explainers.llm import LLM
from cratelm.report.measured import Measured
from cratelm.report.rows import Pair, plain
from cratelm.report.text import visible
from cratelm.score.judge_check import read_trial
from cratelm.score.registry import metrics_named

FAILS = " (FAILS)"
"""Stands wherever the numbers of a judge stand that failed its puzzles."""


def told(trial: dict[str, Any]) -> str:
    """Who judged, what it made of its puzzles, and how its answers failed."""
    mark = "" if trial["passes"] else f"{FAILS}: its numbers say nothing"
    failures = ", ".join(f"{count:,} {visible(reason)}" for reason, count in sorted(trial["failures"].items()))
    lost = f"; of {trial['answers']:,} answers could not be used: {failures}" if failures else ""
    return (
        f"Judge: {visible(trial['judge'])}, {trial['simulator']}; the truth is first in {trial['first']} of "
        f"{trial['puzzles']} puzzles{mark}{lost}."
    )


def trials(judged: Sequence[Pair]) -> list[dict[str, Any]]:
    """What is known of the judges, each once; failed answers of all models together."""
    by_judge: dict[tuple, dict[str, Any]] = {}
    for trial in (_trial(model) for pair in judged for model in pair):
        known = by_judge.setdefault((trial["judge"], trial["simulator"]), trial | {"answers": 0, "failures": {}})
        # One judge reads several models: its failures are those of all of them.
        known["answers"] += trial["answers"]
        for reason, count in trial["failures"].items():
            known["failures"][reason] = known["failures"].get(reason, 0) + count
    return list(by_judge.values())


def _trial(model: Measured) -> dict[str, Any]:
    trial = read_trial(model.scores)
    assert trial is not None, "judged scores are written with their judge"
    return trial


def judged_rows(judged: Sequence[Pair]) -> list[dict[str, Any]]:
    """A row for each model, metric and layer, and for the mean over layers, by the judge on its sample of units."""
    return [
        plain(_row(trained, untrained, metric.name, layer))
        for trained, untrained in judged
        for metric in metrics_named(trained.scores.config["metric"])
        if trained.has_replicates(LLM.name, metric.name)
        for layer in [*range(len(trained.layers)), None]
    ]


def _row(trained: Measured, untrained: Measured, metric: str, layer: int | None) -> dict[str, Any]:
    where, trial = (LLM.name, metric, layer), _trial(trained)
    rows = trained.rows(*where)
    return {
        "model": trained.name,
        "layer": "all" if layer is None else layer,
        "metric": metric,
        "judge": visible(trial["judge"]) + ("" if trial["passes"] else FAILS),
        "passes": trial["passes"],
        "simulator": trial["simulator"],
        "units": int(rows.sum()),
        "score": asdict(trained.score(*where)),
        "shuffled": asdict(trained.shuffled(*where)),
        "random_weights": asdict(untrained.score(*where)),
        "failed_units": trained.share(*where, "failed"),
        "failed_excerpts": int(trained.units["failed"][rows].sum()),
        **{status: trained.share(*where, status) for status in ("dead", "silent", "constant")},
    }
