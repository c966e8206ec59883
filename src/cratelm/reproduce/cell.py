"""A cell: one model trained, and measured as it begins, on its way and in the end; what remains is a small JSON file.

WORK/models/NAME  the trained model with its snapshots. Records, explanations and scores are removed when the result is
whole: they are made again from the model within minutes, and are large.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cratelm.analysis.analyze import measure
from cratelm.analysis.config import AnalysisConfig
from cratelm.artifacts import Artifact, read_json, write_json
from cratelm.corpus.tokens import tokenize
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain
from cratelm.models.load import load_causal_lm
from cratelm.models.subject import model_folder, open_subject
from cratelm.progress import Progress
from cratelm.records.config import RecordConfig
from cratelm.records.record import record
from cratelm.report.measured import Measured
from cratelm.report.rows import plain
from cratelm.reproduce.examples import measure_examples
from cratelm.reproduce.matrix import Cell
from cratelm.score.config import CORRELATIONS, ScoreConfig
from cratelm.score.score import score
from cratelm.training.config import TrainConfig
from cratelm.training.evaluate import Validation
from cratelm.training.train import train

SCHEMA = 2
EXPLAINERS = ("table", "graph")
STATISTICS = ("token_share", "position_share", "firing_rate")
BINS = np.linspace(-0.5, 1, 31)
"""Of the histogram of units' scores: 0.05 wide, as the paper's."""


def run_cell(cell: Cell, out: Path, work: Path, progress: Progress) -> dict[str, Any]:
    """The cell's result, made in `work` unless `out` has it."""
    path = out / f"{cell.name}.json"
    if path.is_file():
        return read_json(path)
    config = cell.study()
    tokens = tokenize(config.corpus, work / "tokens" / cell.text, progress)
    training = TrainConfig(model=cell.model, shape=config.shape, training=config.training, seed=cell.seed)
    trained = train(training, tokens, work / "models" / cell.name, progress)
    untrained = replace(training, training=replace(config.training, tokens=0, snapshots=""))
    beginning = train(untrained, tokens, work / "models" / f"{cell.name}-untrained", progress)
    measuring = work / "measured" / cell.name
    measured = {
        share: _measured(cell, model, tokens, measuring / share, progress)
        for share, model in _on_its_way(trained, beginning)
    }
    stages = {share: _stage(of, tokens, progress) for share, of in measured.items()}
    summary = read_json(trained.path / "training.json")
    result = {"schema": SCHEMA, "cell": asdict(cell), "training": summary, "stages": stages}
    with progress.task("examples"):
        result["examples"] = measure_examples(measured["1"], tokens, cell.seed)
    result["paper"] = _measure_as_the_paper(cell, trained, tokens, measuring / "paper", progress)
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, plain(result))
    shutil.rmtree(measuring)
    return result


def _on_its_way(trained: Artifact, beginning: Artifact) -> Iterator[tuple[str, Artifact]]:
    """The model by the share of the training that is done."""
    yield "0", beginning
    for folder in sorted((trained.path / "snapshots").iterdir(), key=lambda folder: float(folder.name)):
        yield folder.name, open_subject(str(folder))
    yield "1", trained


def _measured(cell: Cell, model: Artifact, tokens: Artifact, out: Path, progress: Progress) -> Measured:
    study = cell.study()
    return _units(study.records, study.explain, study.score, model, tokens, out, progress)


def _stage(measured: Measured, tokens: Artifact, progress: Progress) -> dict[str, Any]:
    """Every layer of a model at one point of its training."""
    network = load_causal_lm(model_folder(measured.model)).eval()
    loss = Validation(tokens).losses(network)  # type: ignore[arg-type]
    layers = [*range(len(measured.layers)), None]
    return {
        "nats_per_token": loss.nats_per_token,
        "scores": [_score(measured, explainer, metric, at) for explainer, metric in _endpoints() for at in layers],
        "statistics": [_statistics(measured, layer) for layer in layers],
        "theory": measure(network, AnalysisConfig(), tokens, progress),
        "histogram": [_histogram(measured, layer) for layer in range(len(measured.layers))],
    }


def _measure_as_the_paper(
    cell: Cell, model: Artifact, tokens: Artifact, out: Path, progress: Progress
) -> list[dict[str, Any]]:
    """Every layer's mean scores by the paper's protocol, faults included: units without a score are left out."""
    study = cell.study()
    recording = replace(study.records, protocol="paper")
    explaining = replace(study.explain, explainer=",".join(EXPLAINERS))
    scoring = replace(study.score, metric=",".join(CORRELATIONS))
    measured = _units(recording, explaining, scoring, model, tokens, out, progress)
    return [
        _score(measured, explainer, metric, layer)
        for explainer in EXPLAINERS
        for metric in CORRELATIONS
        for layer in [*range(len(measured.layers)), None]
    ]


def _units(
    recording: RecordConfig,
    explaining: ExplainConfig,
    scoring: ScoreConfig,
    model: Artifact,
    tokens: Artifact,
    out: Path,
    progress: Progress,
) -> Measured:
    """A model's units recorded, explained and scored."""
    records = record(recording, model, tokens, out / "records", progress)
    explanations = explain(explaining, records, out / "explanations", progress)
    scores = score(scoring, records, explanations, out / "scores", progress)
    return Measured(model=model, records=records, explanations=explanations, scores=scores)


def _endpoints() -> Iterator[tuple[str, str]]:
    for explainer in EXPLAINERS:
        yield from ((explainer, metric) for metric in (*CORRELATIONS, "auroc", "consistency", "specificity"))
    yield "graph", "context-gain"
    yield from (("table-full", metric) for metric in CORRELATIONS[:2])


def _score(measured: Measured, explainer: str, metric: str, layer: int | None) -> dict[str, Any]:
    """A mean over units, its shuffled control, and its interval where there is one."""
    row = {"explainer": explainer, "metric": metric, "layer": "all" if layer is None else layer}
    row |= {name: measured.mean(explainer, metric, layer, name) for name in ("score", "shuffled")}
    if explainer in EXPLAINERS and metric in (*CORRELATIONS, "auroc"):
        found = measured.score(explainer, metric, layer)
        row |= {"low": found.low, "high": found.high}
        row |= {status: measured.share(explainer, metric, layer, status) for status in ("dead", "silent", "constant")}
    return row


def _statistics(measured: Measured, layer: int | None) -> dict[str, Any]:
    named: dict[str, Any] = {"layer": "all" if layer is None else layer}
    return named | {name: measured.statistic(name, layer) for name in STATISTICS}


def _histogram(measured: Measured, layer: int) -> list[int]:
    """How many units have which random-only score by `table`."""
    scores = measured.units["score"][measured.rows("table", "random-only", layer)]
    return np.histogram(scores, BINS)[0].tolist()
