"""What exporting can be told."""

from dataclasses import dataclass
from typing import Literal

from cratelm.ranges import Configuration


@dataclass(frozen=True, kw_only=True)
class ExportConfig(Configuration):
    """Which format, and which half of the text."""

    format: Literal["neuron-record", "neuronpedia"]
    """`neuron-record`: OpenAI's NeuronRecord, a JSON file a unit; `neuronpedia`: batches of dashboards, as SAEDashboard
    writes them for Neuronpedia."""
    half: str | None = None
    """The half that excerpts and statistics are taken from; by default the one that explainers see."""
