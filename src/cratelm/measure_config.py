"""What measuring a model can be told."""

from dataclasses import dataclass, field

from cratelm.explain.config import ExplainConfig
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
    records: RecordConfig = field(default_factory=RecordConfig)
    explain: ExplainConfig = field(default_factory=ExplainConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
