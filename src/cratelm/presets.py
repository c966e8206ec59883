"""Named configurations of a study: a preset is data, and every field of it can be overridden."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Annotated

from cyclopts import Parameter

from cratelm.corpus.config import CorpusConfig
from cratelm.effects.config import EffectsConfig
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.explain.registry import COMPARED, explainers_named
from cratelm.help_groups import GROUPS
from cratelm.llm.config import JudgeConfig
from cratelm.protocols import STRICT
from cratelm.ranges import Configuration, Seed
from cratelm.records.config import RecordConfig
from cratelm.report.config import ReportConfig
from cratelm.sae.config import SaeConfig, StudySaeConfig
from cratelm.score.config import ScoreConfig
from cratelm.score.registry import DEFAULT_METRICS, HEADLINE_METRICS, metrics_named
from cratelm.shapes import ShapeConfig, require_model
from cratelm.training.config import TrainConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class StudyConfig(Configuration):
    """Everything that a study's numbers depend on."""

    corpus: Annotated[CorpusConfig, Parameter(name="*", group=GROUPS["Text"])] = field(default_factory=CorpusConfig)
    models: str = "crate,gpt2"
    """The models that are compared, by name, with commas between them, such as
    `crate,gpt2,crate-alpha,crate+ista_threshold=0.4` (see docs/models.md)."""
    shape: Annotated[ShapeConfig, Parameter(group=GROUPS["Shape"])] = field(default_factory=ShapeConfig)
    training: Annotated[TrainingConfig, Parameter(group=GROUPS["Training"])] = field(default_factory=TrainingConfig)
    records: Annotated[RecordConfig, Parameter(group=GROUPS["Recording"])] = field(default_factory=RecordConfig)
    explain: Annotated[ExplainConfig, Parameter(group=GROUPS["Explaining"])] = field(default_factory=ExplainConfig)
    score: Annotated[ScoreConfig, Parameter(group=GROUPS["Scoring"])] = field(default_factory=ScoreConfig)
    effects: Annotated[EffectsConfig, Parameter(group=GROUPS["Effects"])] = field(default_factory=EffectsConfig)
    judge: Annotated[JudgeConfig, Parameter(name="*", group=GROUPS["Language model"])] = field(
        default_factory=JudgeConfig
    )
    judge_metric: str = "top-and-random,random-only"
    """The metrics by which explanations of the language model of --llm are scored, with commas between them. It
    explains a sample of units (--explain.llm-units). --score.simulator says how it is asked."""
    sae: bool = False
    """Compare with sparse autoencoders too: train them on each model, and measure their latents as units."""
    saes: Annotated[StudySaeConfig, Parameter(group=GROUPS["Autoencoders"])] = field(default_factory=StudySaeConfig)
    report: Annotated[ReportConfig, Parameter(group=GROUPS["Report"])] = field(default_factory=ReportConfig)
    seed: Seed = 0
    """Seed of the weights and of the order of training. The samples of text have seeds of their own (--records.seed,
    --score.seed), so that studies of several training seeds measure on the same excerpts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.model_names)) < len(self.model_names):
            raise InputError(f"models: {self.models} names one twice.")
        for name in self.model_names:
            require_model(name)
        replace(self.score, metric=self.judge_metric)  # refuses what is no metric
        _require_compared(self.explain.explainer, self.score.metric)
        if self.records.protocol != STRICT.name:
            raise InputError(
                "a study's claims rest on the protocol strict. For the paper's, use cratelm record --protocol paper."
            )

    @property
    def model_names(self) -> list[str]:
        """The names in `models`."""
        return [name.strip() for name in self.models.split(",")]


def _require_compared(explainers: str, metrics: str) -> None:
    """Refuse a study without what its report compares, before hours go into it."""
    missing = set(COMPARED) - {explainer.name for explainer in explainers_named(explainers)}
    # A headline metric of another package is shown where it was measured, and asked for nowhere.
    missing |= set(HEADLINE_METRICS).intersection(DEFAULT_METRICS) - {metric.name for metric in metrics_named(metrics)}
    if missing:
        raise InputError(f"a study's report compares by {', '.join(sorted(missing))}: name them among the others.")
    if any(explainer.in_words for explainer in explainers_named(explainers)):
        raise InputError("a study is explained in words where --llm names a language model: leave llm out.")


PRESETS = {
    "smoke": StudyConfig(
        corpus=CorpusConfig(tokenizer="bpe:1024", documents=2500),
        shape=ShapeConfig(width=32, heads=2, context=128),
        training=TrainingConfig(tokens=200_000, compile="no", evaluations=4, evaluation_documents=20),
        records=RecordConfig(pool=200),
        effects=EffectsConfig(units=8, strong=8, random=32),
        score=ScoreConfig(replicates=200),
        saes=StudySaeConfig(dictionaries="1x-k8", tokens=50_000, batch=512, buffer=8192, documents=20),
    ),
    "laptop": StudyConfig(),
    # What comes with the package (cratelm/demo): small in every way that costs bytes, and of no text that may not ship.
    "demo": StudyConfig(
        corpus=CorpusConfig("python-source"),
        shape=ShapeConfig(width=64),
        training=TrainingConfig(tokens=8_000_000, weights="bfloat16"),
        records=RecordConfig(top=10, random=5, short_random=10, interval=2, other=20, logits=10),
        explain=ExplainConfig(explainer="table,graph,rules,table-full,random"),
    ),
}


def _paper(layers: int, width: int, heads: int) -> TrainConfig:
    """The recipe of the paper's code: 2,000 steps of warm-up among 300,000, half a million tokens a step."""
    return TrainConfig(
        shape=ShapeConfig(layers=layers, width=width, heads=heads, context=1024),
        training=TrainingConfig(
            tokens=300_000 * 512 * 1024,
            batch=512,
            at_once=16,
            learning_rate=6e-4,
            warmup=2_000 / 300_000,
            evaluations=150,
            snapshots="0.1,0.5",
        ),
    )


TRAIN_PRESETS = {name: TrainConfig(shape=study.shape, training=study.training) for name, study in PRESETS.items()} | {
    "paper-1l": _paper(1, 128, 4),
    "paper-2l": _paper(2, 128, 4),
    "paper-3l": _paper(3, 128, 4),
    "paper-6l": _paper(6, 768, 12),
    "paper-12l": _paper(12, 768, 12),
}


SAE_PRESETS = {
    "topk": SaeConfig(),
    "paper": SaeConfig(arch="standard", width="16x", learning_rate=4e-4),
}
"""The modern rival, and the paper's recipe as far as SAELens has it (docs/sae.md says what differs)."""


def preset(name: str) -> StudyConfig:
    """The study of that name; raises InputError with the nearest name where there is none."""
    return PRESETS[_known(name, PRESETS)]


def train_preset(name: str) -> TrainConfig:
    """The training of that name; raises InputError with the nearest name where there is none."""
    return TRAIN_PRESETS[_known(name, TRAIN_PRESETS)]


def sae_preset(name: str) -> SaeConfig:
    """The autoencoders of that name; raises InputError with the nearest name where there is none."""
    return SAE_PRESETS[_known(name, SAE_PRESETS)]


def _known(name: str, presets: Iterable[str]) -> str:
    names = list(presets)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"unknown preset {name!r}: choose from {', '.join(names)}.{hint}")
    return name
