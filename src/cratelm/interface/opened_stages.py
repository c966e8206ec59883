"""The folders of single stages: a recording, explanations, scores."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cratelm.artifacts import Artifact, read_json
from cratelm.explain.explain import explainers_of, read_sentences
from cratelm.interface.frames import to_frame
from cratelm.interface.opened_unit import Unit, open_unit
from cratelm.interface.score_table import score_table
from cratelm.parquet import read_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class OpenedStage:
    """A finished stage's folder."""

    artifact: Artifact

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.artifact.path

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with."""
        return self.artifact.config

    def __repr__(self) -> str:
        return f"<{self.artifact.manifest['stage']} in {self.path}>"


class OpenedRecording(OpenedStage):
    """What every unit of a model fires on.

    >>> import cratelm
    >>> recording = cratelm.open(STUDY + "/records/crate")
    >>> recording.unit("0/3").address
    '0/3'
    """

    def unit(self, address: str) -> Unit:
        """The unit `layer/unit`; InputError where there is none."""
        return open_unit(self.path, address)

    @property
    def sites(self) -> list[dict[str, Any]]:
        """A row a layer: the module, its units, and whether its values can be negative."""
        return read_json(self.path / "records.json")["sites"]

    @cached_property
    def statistics(self) -> "pd.DataFrame":
        """A row a half, layer and unit: firing rate, maximum, mean, variance, token share and others."""
        return to_frame(read_table(self.path / "units.parquet"))


class OpenedExplanations(OpenedStage):
    """What explainers say of a recording's units.

    >>> import cratelm
    >>> made = cratelm.open(STUDY + "/explanations/crate")
    >>> "table" in made.explainers
    True
    """

    @property
    def explainers(self) -> list[str]:
        """By name."""
        return [explainer.name for explainer in explainers_of(self.artifact)]

    def sentences(self, layer: int, explainer: str = "table") -> list[str | None]:
        """What an explainer says of each unit of a layer; None for a unit that it was not asked about."""
        return list(read_sentences(self.artifact, layer, explainer))


class OpenedScores(OpenedStage):
    """How well explanations say what units do.

    >>> import cratelm
    >>> scores = cratelm.open(STUDY + "/scores/crate")
    >>> list(scores.frame.columns[:5])
    ['layer', 'unit', 'explainer', 'metric', 'score']
    """

    @cached_property
    def table(self) -> pa.Table:
        """A row a layer, unit, explainer and metric, as pyarrow has it."""
        return score_table(self.artifact)

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """The same as a DataFrame."""
        return to_frame(self.table)
