"""Named configurations of a study: a preset is data, and every field of it can be overridden."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated

from cyclopts import Parameter

from cratelm.corpus.config import CorpusConfig
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.models.shapes import ShapeConfig, require_model
from cratelm.records.config import RecordConfig
from cratelm.report.config import ReportConfig
from cratelm.score.config import ScoreConfig
from cratelm.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Everything that a study's numbers depend on."""

    corpus: Annotated[CorpusConfig, Parameter(name="*")] = field(default_factory=CorpusConfig)
    models: str = "crate,gpt2"
    """The models that are compared, by name, with commas between them."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    records: RecordConfig = field(default_factory=RecordConfig)
    explain: ExplainConfig = field(default_factory=ExplainConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    seed: int = 0
    """Seed of the weights and of the order of training. The samples of text have seeds of their own (records.seed,
    score.seed), so that studies of several training seeds measure on the same excerpts."""

    def __post_init__(self) -> None:
        if len(set(self.model_names)) < len(self.model_names):
            raise InputError(f"models: {self.models} names one twice.")
        for name in self.model_names:
            require_model(name)

    @property
    def model_names(self) -> list[str]:
        """The names in `models`."""
        return [name.strip() for name in self.models.split(",")]


PRESETS = {
    "smoke": StudyConfig(
        corpus=CorpusConfig(tokenizer="bpe:1024", documents=2500),
        shape=ShapeConfig(width=32, heads=2, context=128),
        training=TrainingConfig(tokens=200_000, compile="no", evaluations=4, evaluation_documents=20),
        records=RecordConfig(pool=200, table_units=32),
        score=ScoreConfig(replicates=200),
    ),
    "laptop": StudyConfig(),
}


def preset(name: str) -> StudyConfig:
    """The preset of that name; raises InputError with the nearest name where there is none."""
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}.{hint}")
    return PRESETS[name]
