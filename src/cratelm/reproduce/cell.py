"""A cell: one model trained, and measured as it begins, on its way and in the end; what remains is small (store.py).

WORK/models/NAME           the trained model with its snapshots
WORK/models/NAME+sae-SIZE  sparse autoencoders on it

Records, explanations and scores are removed when the result is whole: they can be recomputed from the model within
minutes, and are large.
"""

import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cratelm.analysis.analyze import measure
from cratelm.analysis.config import AnalysisConfig
from cratelm.artifacts import Artifact, read_json
from cratelm.corpus.model_tokenizer import model_start
from cratelm.corpus.ngrams import ngram_losses
from cratelm.corpus.read_tokens import read_train
from cratelm.corpus.tokens import tokenize
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain
from cratelm.models.subject import model_folder, open_subject
from cratelm.progress import Progress
from cratelm.protocols import ENDPOINT, PAPER_METRICS
from cratelm.records.config import RecordConfig
from cratelm.records.record import record
from cratelm.report.autoencoders import autoencoder_rows
from cratelm.report.measured import Measured
from cratelm.reproduce.examples import measure_examples
from cratelm.reproduce.matching import MEASURED_ON, unit_numbers
from cratelm.reproduce.matrix import BEYOND, CEILING, EXPLAINERS, Cell
from cratelm.reproduce.store import ALL, END, MODEL, PAPER_SOURCE, Key, Result, Value, read_cell, write_cell
from cratelm.sae.open import load_network
from cratelm.sae.train import train_saes
from cratelm.score.config import ScoreConfig
from cratelm.score.metrics.whole_text import WHOLE_TEXT
from cratelm.score.registry import ENDPOINT_METRICS
from cratelm.score.score import score
from cratelm.score.scored import DOCUMENTS
from cratelm.stages import threads
from cratelm.training.config import TrainConfig
from cratelm.training.curve import read_curve
from cratelm.training.heldout_loss import Validation
from cratelm.training.train import train

STATISTICS = ("token_share", "position_share", "firing_rate")
DRAWN = 200
"""Draws of the held-out documents that a cell keeps."""
BINS = np.linspace(-0.5, 1, 31)
"""Of the histogram of units' scores: 0.05 wide, as the paper's."""


def run_cell(cell: Cell, out: Path, work: Path, progress: Progress) -> Result:
    """The cell's result, made in `work` unless `out` has it."""
    if (out / f"{cell.name}.json").is_file():
        return read_cell(out, cell.name)
    began = time.process_time()
    tokens = text_of(cell, work, progress)
    training = TrainConfig(model=cell.model, shape=cell.study().shape, training=cell.study().training, seed=cell.seed)
    trained = train(training, tokens, work / "models" / cell.name, progress)
    measuring = work / "measured" / cell.name
    measured = {
        share: _measured(cell, model, tokens, measuring / share, progress)
        for share, model in _on_its_way(cell, training, trained, tokens, work, progress)
    }
    numbers = _along_the_training(measured, tokens, progress) | _documents_drawn(measured[END])
    with progress.task("examples"):
        examples = measure_examples(measured[END], tokens, cell.seed)
    numbers |= _in_the_end(cell, trained, tokens, work, measuring, progress)
    tables = {"numbers": numbers, "units": unit_numbers(measured[END])}
    write_cell(out, cell.name, _summary(cell, trained, tokens, began) | {"examples": examples} | tables)
    # Not before the result is whole: a run that was stopped goes on from what is there.
    shutil.rmtree(measuring)
    return read_cell(out, cell.name)


def _summary(cell: Cell, trained: Artifact, tokens: Artifact, began: float) -> dict[str, Any]:
    """What is known of a cell without measuring its units."""
    return {
        "cell": asdict(cell),
        "run": _run(began) | {"threads": {"training": trained.manifest.get("threads"), "measuring": threads()}},
        "training": read_json(trained.path / "training.json"),
        "train_tokens": len(read_train(tokens)),
        "ngrams": ngram_losses(tokens),
        "curve": _curve(trained),
        "autoencoders": sorted(_dictionaries(cell)),
        "unit_statistics": MEASURED_ON,
    }


def _dictionaries(cell: Cell) -> Sequence[str]:
    """The names of the dictionaries that are fitted to it."""
    return cell.study().saes.names if cell.has_autoencoders else ()


def text_of(cell: Cell, work: Path, progress: Progress) -> Artifact:
    """The tokens that a cell is trained and measured on, which other cells share."""
    return tokenize(cell.study().corpus, work / "tokens" / cell.text, progress)


def _curve(trained: Artifact) -> list[list[float]]:
    """Validation loss by the tokens that were trained on."""
    rows = read_curve(trained.path)
    return [[row["tokens"], row["validation_loss"]] for row in rows if "validation_loss" in row]


def _run(began: float) -> dict[str, Any]:
    """When and where a cell was run, and the processor's seconds that it took since `began`."""
    return {
        "date": date.today().isoformat(),
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "torch": torch.__version__,
        "processor_seconds": time.process_time() - began,
    }


def _processor() -> str:
    """Linux names it, where it names it at all, in /proc/cpuinfo alone."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _on_its_way(
    cell: Cell, training: TrainConfig, trained: Artifact, tokens: Artifact, work: Path, progress: Progress
) -> Iterator[tuple[str, Artifact]]:
    """The model by the share of the training that is done; in the end alone where the cell asks for no more."""
    if cell.in_full:
        untrained = replace(training, training=replace(training.training, tokens=0, snapshots=""))
        yield "0", train(untrained, tokens, work / "models" / f"{cell.name}-untrained", progress)
        for folder in sorted((trained.path / "snapshots").iterdir(), key=lambda folder: float(folder.name)):
            yield folder.name, open_subject(str(folder))
    yield END, trained


def _measured(cell: Cell, model: Artifact, tokens: Artifact, out: Path, progress: Progress) -> Measured:
    study = cell.study()
    return _units(study.records, study.explain, study.score, model, tokens, out, progress)


def _along_the_training(measured: Mapping[str, Measured], tokens: Artifact, progress: Progress) -> dict[Key, Value]:
    """The model's numbers at every point of its training."""
    numbers: dict[Key, Value] = {}
    for share, at_stage in measured.items():
        numbers |= _stage(at_stage, share, tokens, progress)
    return numbers


def _in_the_end(
    cell: Cell, trained: Artifact, tokens: Artifact, work: Path, measuring: Path, progress: Progress
) -> dict[Key, Value]:
    """The trained model's numbers by the paper's protocol, and its latents', where the cell asks for them."""
    numbers: dict[Key, Value] = {}
    if cell.in_full:
        numbers |= _measure_as_the_paper(cell, trained, tokens, measuring / "paper", progress)
    for name in _dictionaries(cell):
        numbers |= _measure_autoencoders(cell, name, trained, tokens, work, measuring, progress)
    return numbers


def _stage(measured: Measured, share: str, tokens: Artifact, progress: Progress) -> dict[Key, Value]:
    """Every layer of a model at one point of its training."""
    folder = model_folder(measured.model)
    network = load_network(folder)
    loss = Validation(tokens).losses(network)  # type: ignore[arg-type]
    theory = measure(network, AnalysisConfig(), tokens, model_start(folder), progress)
    keyed = {Key("nats_per_token", stage=share): loss.nats_per_token} | _by_layer(theory, MODEL, share)
    return keyed | _read_off(measured, MODEL, share)


def _read_off(measured: Measured, source: str, share: str) -> dict[Key, Value]:
    """Scores, statistics and histograms of every layer's units."""
    layers = [*range(len(measured.layers)), None]
    keyed: dict[Key, Value] = {}
    for (explainer, metric), layer in product(_endpoints(), layers):
        keyed |= _score(measured, source, share, explainer, metric, layer)
    for layer in layers:
        keyed |= {Key(name, source, share, layer=_named(layer)): measured.statistic(name, layer) for name in STATISTICS}
    for layer in layers[:-1]:
        keyed[Key("histogram", source, share, layer=_named(layer))] = _histogram(measured, layer)
    return keyed


def _by_layer(rows: Sequence[Mapping[str, Any]], source: str, share: str) -> dict[Key, Value]:
    """The numbers of rows that have a layer each; those of an entry in an entry are named ENTRY.NAME."""
    keyed: dict[Key, Value] = {}
    for row in rows:
        inner = {
            f"{name}.{part}": part_value
            for name, value in row.items()
            if isinstance(value, dict)
            for part, part_value in value.items()
        }
        for name, value in {**row, **inner}.items():
            if name != "layer" and not isinstance(value, str | dict):
                keyed[Key(name, source, share, layer=str(row["layer"]))] = float("nan") if value is None else value
    return keyed


def _measure_as_the_paper(
    cell: Cell, model: Artifact, tokens: Artifact, out: Path, progress: Progress
) -> dict[Key, Value]:
    """Every layer's mean scores by the paper's protocol, faults included: units without a score are left out."""
    study = cell.study()
    recording = replace(study.records, protocol="paper")
    explaining = replace(study.explain, explainer=",".join(EXPLAINERS))
    scoring = replace(study.score, metric=",".join(PAPER_METRICS))
    measured = _units(recording, explaining, scoring, model, tokens, out, progress)
    keyed: dict[Key, Value] = {}
    for asked in product(EXPLAINERS, PAPER_METRICS, [*range(len(measured.layers)), None]):
        keyed |= _score(measured, PAPER_SOURCE, END, *asked)
    return keyed


def _measure_autoencoders(
    cell: Cell, name: str, model: Artifact, tokens: Artifact, work: Path, measuring: Path, progress: Progress
) -> dict[Key, Value]:
    """What the autoencoders of a dictionary cost the model, and their latents measured as its units are."""
    study, sae_name = cell.study(), f"{cell.name}+sae-{name}"
    saes = train_saes(study.saes.dictionary(name, cell.seed), model, tokens, work / "models" / sae_name, progress)
    # Its units are the autoencoders' latents; its loss and its training are the model's.
    measured = replace(_measured(cell, saes, tokens, measuring / sae_name, progress), model=model, saes=saes)
    return _read_off(measured, name, END) | _by_layer(autoencoder_rows([(measured, measured)]), name, END)


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


def _endpoints() -> list[tuple[str, str]]:
    of_tables = [(explainer, metric) for explainer in EXPLAINERS for metric in (*PAPER_METRICS, *BEYOND)]
    # Anthropic's metric takes no ceiling.
    ceiling = [(CEILING, metric) for metric in PAPER_METRICS[:2]]
    return [*of_tables, *ceiling, *((explainer, WHOLE_TEXT.name) for explainer in (ENDPOINT.explainer, CEILING))]


def _score(
    measured: Measured, source: str, share: str, explainer: str, metric: str, layer: int | None
) -> dict[Key, Value]:
    """A mean over units, its shuffled control, and its interval where there is one."""
    values = {name: measured.mean(explainer, metric, layer, name) for name in ("score", "shuffled")}
    if explainer in EXPLAINERS and metric in ENDPOINT_METRICS and measured.has_replicates(explainer, metric):
        interval = measured.score(explainer, metric, layer)
        values |= {"low": interval.low, "high": interval.high}
        lacking = ("dead", "silent", "constant")
        values |= {status: measured.share(explainer, metric, layer, status) for status in lacking}
    return {Key(name, source, share, explainer, metric, _named(layer)): value for name, value in values.items()}


def _named(layer: int | None) -> str:
    return ALL if layer is None else str(layer)


def _documents_drawn(measured: Measured) -> dict[Key, Value]:
    """The mean scores over layers with the held-out documents drawn again; alike in all cells of the same text."""
    return {
        Key("draws", explainer=explainer, metric=metric, layer=ALL): [
            round(float(value), 6) for value in measured.replicates(explainer, metric, None, DOCUMENTS)[:DRAWN]
        ]
        for explainer, metric in product(EXPLAINERS, PAPER_METRICS)
    }


def _histogram(measured: Measured, layer: int | None) -> list[float]:
    """How many units have which random-only score by `table`."""
    scores = measured.units["score"][measured.rows(*ENDPOINT, layer)]
    return np.histogram(scores, BINS)[0].tolist()
