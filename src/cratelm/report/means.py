"""The mean scores of one recording, in the terminal."""

import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Group

from cratelm.artifacts import Artifact
from cratelm.explain.registry import EXPLAINERS
from cratelm.output import print_json
from cratelm.protocols import PROTOCOLS
from cratelm.records.store import read_layers, read_protocol
from cratelm.report.fitted_table import Column, fitted, open_console, print_text
from cratelm.report.judged import FAILS, told
from cratelm.report.little_text import little_text, scored_text
from cratelm.report.measured import Estimate
from cratelm.report.number_text import estimate, number
from cratelm.report.rows import plain
from cratelm.score.judge_check import read_trial
from cratelm.score.registry import METRICS
from cratelm.score.score import read_replicates, read_scores, replicates_key
from cratelm.score.scored import STATUS


def mean_rows(scores: Artifact, records: Artifact) -> list[dict[str, Any]]:
    """A row for each explainer, metric and layer, and the mean over layers.

    Under the paper's protocol the mean over layers comes as published, and with the layer that it leaves out.
    """
    units, replicates = read_scores(scores), read_replicates(scores)
    layers, protocol = len(read_layers(records)), PROTOCOLS[read_protocol(records)]
    rows = []
    for explainer, metric in _measured(units):
        single = [_row(units, replicates, explainer, metric, [layer]) | {"layer": layer} for layer in range(layers)]
        rows += [*single, _row(units, replicates, explainer, metric, list(range(layers))) | {"layer": "all"}]
        if layers in protocol.last_layer_left_out:
            rows.append(
                _row(units, replicates, explainer, metric, list(range(layers - 1))) | {"layer": "all but the last"}
            )
    return [plain(row | {"protocol": protocol.name}) for row in rows]


def _measured(units: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    """The explainers and metrics that there are scores of, in the order of their registries."""
    measured = set(zip(units["explainer"].tolist(), units["metric"].tolist(), strict=True))
    known = [(explainer, metric) for explainer in EXPLAINERS for metric in METRICS if (explainer, metric) in measured]
    return [*known, *sorted(measured.difference(known))]


def _row(
    units: dict[str, np.ndarray], replicates: dict[str, np.ndarray], explainer: str, metric: str, layers: list[int]
) -> dict[str, Any]:
    """The mean over some layers of the mean over their units."""
    rows = [
        (units["explainer"] == explainer) & (units["metric"] == metric) & (units["layer"] == layer) for layer in layers
    ]
    keys = [replicates_key(layer, explainer, metric, "own") for layer in layers]
    # A metric that is no sum over excerpts has no replicates, and so no interval.
    drawn = np.mean([replicates.get(key, np.array([np.nan])) for key in keys], axis=0)
    every = np.logical_or.reduce(rows)
    return {
        "explainer": explainer,
        "metric": metric,
        "score": asdict(Estimate.of(float(np.mean([np.nanmean(units["score"][row]) for row in rows])), drawn)),
        "shuffled": float(np.mean([np.nanmean(units["shuffled"][row]) for row in rows])),
        "units": int(every.sum()),
        **{status: float(np.mean([(units["status"][row] == status).mean() for row in rows])) for status in STATUS[1:]},
        "failed_excerpts": int(np.nansum(units["failed"][every])),
    }


def print_means(scores: Artifact, records: Artifact, as_json: bool) -> None:
    """Print the means on stdout, as a table or as JSON."""
    rows = mean_rows(scores, records)
    if as_json:
        print_json(rows)
        return
    protocol = PROTOCOLS[read_protocol(records)]
    console, trial = open_console(), read_trial(scores)
    print_text(console, f"Scores, protocol {protocol.name}" + (f": {protocol.caution}" if protocol.caution else ""))
    for sentence in little_text(scored_text(records)):
        print_text(console, sentence)
    failed = trial is not None and not trial["passes"]
    for explainer in dict.fromkeys(row["explainer"] for row in rows):
        mark = FAILS if failed and EXPLAINERS[explainer].in_words else ""
        of_explainer = [row for row in rows if row["explainer"] == explainer]
        console.print(_table(f"By {explainer}{mark}", of_explainer, console.width))
    counted = protocol.missing == "chance"
    dropped = "count as 0, or where chance is more as chance" if counted else "left out of the mean"
    sys.stdout.write(f"Dead, silent and constant units {dropped}.\n")
    if trial:
        sys.stdout.write(told(trial) + "\n")
        lost = sum(
            row["failed_excerpts"] for row in rows if row["layer"] == "all" and EXPLAINERS[row["explainer"]].in_words
        )
        if lost:
            sys.stdout.write(f"Excerpts left out because their answers could not be used, all metrics: {lost:,}.\n")


def _table(title: str, rows: list[dict[str, Any]], width: int) -> Group:
    kinds = ("dead", "silent", "constant", "one-sided")
    shares = ["/".join(f"{100 * row[status]:.1f}" for status in kinds) for row in rows]
    keys = [
        Column("metric", [row["metric"] for row in rows], left=True),
        Column("layer", [str(row["layer"]) for row in rows]),
    ]
    columns = [
        Column("units", [str(row["units"]) for row in rows]),
        Column("mean [95%]", [estimate(row["score"]) for row in rows]),
        Column("shuffled", [number(row["shuffled"]) for row in rows]),
        Column("dead/silent/\nconstant/\none-sided, %", shares),
    ]
    return fitted(title, keys, columns, width)
