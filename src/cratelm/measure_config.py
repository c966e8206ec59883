"""What measuring a model can be told."""

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter

from cratelm.explain.config import ExplainConfig
from cratelm.help_groups import GROUPS
from cratelm.ranges import Configuration
from cratelm.records.config import RecordConfig
from cratelm.score.config import ScoreConfig


@dataclass(frozen=True, kw_only=True)
class MeasureConfig(Configuration):
    """Everything that the numbers depend on, the model aside."""

    text: str = "reviews"
    """A folder that `cratelm tokenize` made with the model's tokenizer, or any corpus that it takes, such as `reviews`
    or my.txt."""
    sae: str | None = None
    """Measure the latents of sparse autoencoders that others trained, instead of neurons: a folder in SAELens's format,
    or RELEASE/ID as SAELens names them on the hub."""
    records: Annotated[RecordConfig, Parameter(group=GROUPS["Recording"])] = field(default_factory=RecordConfig)
    explain: Annotated[ExplainConfig, Parameter(group=GROUPS["Explaining"])] = field(default_factory=ExplainConfig)
    score: Annotated[ScoreConfig, Parameter(group=GROUPS["Scoring"])] = field(default_factory=ScoreConfig)
