"""Stages that are killed while they write, in a process of their own, again and again until one run is whole."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cratelm import cli
from cratelm.artifacts import open_artifact
from cratelm.export.config import ExportConfig
from cratelm.export.export import export
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.report.config import ReportConfig
from cratelm.report.measured import Measured
from cratelm.report.report import report
from cratelm.reproduce import matrix
from cratelm.reproduce import run as run_of_cells
from cratelm.reproduce.matrix import Cell
from cratelm.reproduce.run import reproduce
from cratelm.sae.train import train_saes
from tests.forking import forking
from tests.sae_models import CONFIG


def silent() -> Progress:
    """Progress that nobody sees."""
    return Progress(Console(quiet=True))


def make_report(out: Path, study: Path) -> None:
    """The report on a study's first model."""
    report(
        ReportConfig(cards=2),
        [(measured(study, "crate"), measured(study, "crate-untrained"))],
        tokens(study),
        out,
        silent(),
    )


def make_export(out: Path, study: Path) -> None:
    """Its recording in a format with a file a unit."""
    export(ExportConfig(format="neuron-record"), open_artifact(study / "records" / "crate", "records"), out, silent())


def make_saes(out: Path, study: Path) -> None:
    """Autoencoders on its first model."""
    train_saes(CONFIG, open_artifact(study / "models" / "crate", "model"), tokens(study), out, silent())


def make_cell(out: Path, study: StudyConfig) -> None:
    """A cell of the reproduction, as small as the study, and its page without figures, which take long to draw."""
    run_of_cells.draw_figures = lambda results: {}
    Cell.study = lambda cell: cell_study(study, cell)  # type: ignore[method-assign]
    reproduce(matrix.quick(), out, "*-crate-s0", silent())


def cell_study(study: StudyConfig, cell: Cell) -> StudyConfig:
    """What a small study measures of a cell."""
    training = replace(study.training, snapshots="0.5")
    saes = replace(study.saes, dictionaries="1x-k8", tokens=20_000, batch=512, buffer=4096, documents=10)
    return replace(study, models=cell.model, training=training, saes=saes, seed=cell.seed)


def measured(study: Path, name: str) -> Measured:
    """A model of a study with all its stages."""
    stages = {"model": "models", "records": "records", "explanations": "explanations", "scores": "scores"}
    return Measured(**{stage: open_artifact(study / folder / name, stage) for stage, folder in stages.items()})


def tokens(study: Path):
    """The study's text."""
    return open_artifact(study / "tokens", "tokens")


def command(arguments: list[str]) -> None:
    """A command of `cratelm`, in one session with the workers that it starts."""
    os.setsid()
    cli.run(arguments)


def run(make: Callable, out: Path, given: Any, writes: int) -> None:
    """Make a folder, and be killed at the write of that number."""
    left = writes

    def hear(event: str, arguments: tuple) -> None:
        nonlocal left
        opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and str(out) in str(arguments[0])
        if opened or (event == "os.rename" and str(out) in str(arguments[0])):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    make(out, given)


def make_with_kills(make: Callable, out: Path, given: Any, writes: int, more: int) -> int:
    """Kill a run after `writes` writes, the next after `more` times as many, until one ends; gives how often."""
    for kills in range(100):
        process = forking().Process(target=run, args=(make, out, given, writes))
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode == 0
            return kills
        writes = writes * more
    raise AssertionError("no run ended")
