"""The small study again with a judge or with autoencoders, on the models that it has."""

import shutil
from dataclasses import replace
from pathlib import Path

from cratelm.artifacts import claim_study
from cratelm.llm.config import JudgeConfig
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.sae.config import StudySaeConfig
from cratelm.study import run_study
from tests.rule_judge import ByRule


def judged_copy(study: Path, config: StudyConfig, out: Path, quiet: Progress) -> Path:
    """The same study with explanations in words by a judge that fails its puzzles and some of its answers."""
    return grown_copy(study, replace(config, judge=JudgeConfig(llm="by rule")), out, quiet, ByRule(broken="R"))


def latents_copy(study: Path, config: StudyConfig, out: Path, quiet: Progress) -> Path:
    """The same study with autoencoders on its models."""
    saes = StudySaeConfig(dictionaries="1x-k4", tokens=3000, batch=100, buffer=800, documents=6)
    return grown_copy(study, replace(config, sae=True, saes=saes), out, quiet)


def grown_copy(study: Path, config: StudyConfig, out: Path, quiet: Progress, judge: ByRule | None = None) -> Path:
    shutil.copytree(study, out, ignore=shutil.ignore_patterns("report", "study.json"))
    claim_study(out, config)
    run_study(config, out, quiet, judge)
    return out
