"""A study's folder as the viewer reads it: the models that were measured, by name.

A name or a number that comes from outside is looked up among what was found here; it never becomes part of a path.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cratelm.artifacts import MANIFEST, STUDY, Artifact, open_unhashed, read_json, read_object
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.errors import InputError
from cratelm.explain.explain import explainers_of, explainers_that_spoke, read_explanations
from cratelm.explain.explainer import Explanations
from cratelm.explain.explainers.llm import LLM
from cratelm.folder_names import wrong_folder
from cratelm.parquet import read_table
from cratelm.protocols import PROTOCOLS, Protocol
from cratelm.records.context import read_units_context
from cratelm.records.store import read_protocol, read_units
from cratelm.score.judge_check import JUDGE, read_trial
from cratelm.units.unit_site import Site

LAYERS_KEPT = 24
"""Layers whose explanations and scores stay in memory."""


@dataclass(frozen=True, eq=False)
class ViewedModel:
    """The finished stages of one model of a study."""

    name: str
    folder: Path
    """The study's folder."""
    records: Artifact
    explanations: Artifact
    scores: Artifact
    judged: "Judged | None"
    """The same for a sample of its units by a language model, where the study was made with one."""

    @property
    def model_folder(self) -> Path:
        """Where the model itself is, or the autoencoders whose latents are its units."""
        return (self.folder / "models" / self.name).resolve()  # of `cratelm measure`, a link

    @cached_property
    def latents(self) -> bool:
        """Whether its units are the latents of autoencoders."""
        manifest = self.model_folder / MANIFEST
        return manifest.is_file() and read_object(manifest).get("stage") == "sae"

    @cached_property
    def sites(self) -> list[Site]:
        """A layer each."""
        sites = read_json(self.records.path / "records.json")["sites"]
        return [Site(site["site"], site["units"], site["signed"]) for site in sites]

    @cached_property
    def texts(self) -> list[str]:
        """The tokens of the vocabulary as a person reads them."""
        return token_texts(read_tokenizer(self.records))

    @cached_property
    def protocol(self) -> Protocol:
        """How its units were recorded and scored."""
        return PROTOCOLS[self.protocol_name]

    @cached_property
    def protocol_name(self) -> str:
        """A name of PROTOCOLS."""
        return read_protocol(self.records)

    @cached_property
    def simulating(self) -> list[str]:
        """The explainers whose explanations are text and simulate without a language model."""
        spoken = explainers_that_spoke(self.explanations)  # not every protocol keeps what each of them needs
        return [by.name for by in explainers_of(self.explanations) if by.speaks and by.name in spoken]

    @cached_property
    def explainers(self) -> list[str]:
        """All explainers whose explanations are text."""
        return [*self.simulating, *([LLM.name] if self.judged else [])]

    def sentences(self, layer: int) -> dict[str, list[str | None]]:
        """A layer's explanations by explainer, a unit each; None for a unit that `llm` was not asked about."""
        judged = _sentences(self.judged, layer) if self.judged else {}
        return _sentences(self, layer) | judged

    def statistics(self, layer: int, half: str) -> dict[str, np.ndarray]:
        """The statistics of a layer's units in one half: a column a name."""
        return _statistics(self, layer, half)

    def context(self, layer: int) -> dict[int, dict[str, Any]]:
        """By unit, how much of it the last tokens tell, where that is known."""
        return _context(self, layer)

    def explanation(self, layer: int, explainer: str, evidence: str) -> Explanations:
        """What an explainer says of a layer's units from one evidence."""
        return _explanation(self, layer, explainer, evidence)

    def layer_scores(self, layer: int) -> dict[str, np.ndarray]:
        """All scores of a layer's units: a column a name."""
        return _layer_scores(self, layer)


@dataclass(frozen=True, eq=False)
class Judged:
    """What a language model made of a sample of a model's units."""

    explanations: Artifact
    scores: Artifact

    @cached_property
    def trial(self) -> dict[str, Any]:
        """Who judged, by the model's name alone, and what it made of its puzzles; InputError where that is gone."""
        trial = read_trial(self.scores)
        if trial is None:
            raise InputError(f"{self.scores.path / JUDGE} is missing. Remove its folder, and run the study again.")
        return trial | {"judge": without_address(trial["judge"])}


def without_address(name: str) -> str:
    """A judge's name without the address of its server."""
    return re.sub(r"^https?://\S*\s+", "", name)


class Study:
    """A finished study, or a model that `cratelm measure` measured."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError where `folder` holds neither."""
        self.folder = folder.resolve()
        self.report = self._open_report()
        self.models = {model.name: model for model in self._found()}
        if not self.models:
            raise InputError(f"{folder} holds no scored model. Run the command that made it again, to the end.")

    def _open_report(self) -> Artifact | None:
        """The report; None of a model that was measured as it is."""
        asked = self.folder / STUDY
        if asked.is_file() and "model" in read_json(asked):
            return None
        if not (self.folder / "report" / MANIFEST).is_file():
            if not asked.is_file():
                raise InputError(wrong_folder(self.folder, "study"))
            raise InputError(f"{self.folder} holds no finished study. Run the command that made it again, to the end.")
        return open_unhashed(self.folder / "report", "report")

    @cached_property
    def table(self) -> dict[str, Any] | None:
        """The report's numbers, where there is one."""
        return None if self.report is None else read_json(self.report.path / "table.json")

    def model(self, name: str) -> ViewedModel | None:
        """The model of that name, or None."""
        return self.models.get(name)

    def _found(self) -> Iterator[ViewedModel]:
        names = {path.parent.name for path in (self.folder / "scores").glob(f"*/{MANIFEST}")}
        reported = [row["model"] for row in self.table["models"]] if self.table else []
        for name in sorted(names, key=lambda name: (_base(name) not in reported, _order(name, reported))):
            stages = ("records", "explanations", "scores")
            records, explanations, scores = (open_unhashed(self.folder / stage / name, stage) for stage in stages)
            yield ViewedModel(name, self.folder, records, explanations, scores, self._judged(name))

    def _judged(self, name: str) -> Judged | None:
        folder = self.folder / "judged"
        if not (folder / "scores" / name / MANIFEST).is_file():
            return None
        return Judged(*(open_unhashed(folder / stage / name, stage) for stage in ("explanations", "scores")))


def _base(name: str) -> str:
    return name.removesuffix("-untrained")


def _order(name: str, reported: list[str]) -> tuple[int, str]:
    """Trained models first, in the report's order; then the same networks before training."""
    base = _base(name)
    place = reported.index(base) if base in reported else len(reported)
    return (place + (len(reported) + 1) * (base != name), name)


# Kept for an opened model, not for a path: another study may be made in the same folder.
@lru_cache(maxsize=LAYERS_KEPT)
def _sentences(opened: ViewedModel | Judged, layer: int) -> dict[str, list[str | None]]:
    table = read_table(opened.explanations.path / f"sentences-{layer}.parquet")
    return {name: table[name].to_pylist() for name in table.column_names if name != "unit"}


@lru_cache(maxsize=LAYERS_KEPT)
def _statistics(model: ViewedModel, layer: int, half: str) -> dict[str, np.ndarray]:
    return read_units(model.records, layer, half)


@lru_cache(maxsize=LAYERS_KEPT)
def _context(model: ViewedModel, layer: int) -> dict[int, dict[str, Any]]:
    return read_units_context(model.records, layer)


@lru_cache(maxsize=LAYERS_KEPT)
def _explanation(model: ViewedModel, layer: int, explainer: str, evidence: str) -> Explanations:
    return read_explanations(model.explanations, model.records, explainer, evidence, layer)


@lru_cache(maxsize=LAYERS_KEPT)
def _layer_scores(model: ViewedModel, layer: int) -> dict[str, np.ndarray]:
    scores = [model.scores, *([model.judged.scores] if model.judged else [])]
    tables = [read_table(artifact.path / f"units-{layer}.parquet") for artifact in scores]
    table = pa.concat_tables(tables, promote_options="default")
    columns = {name: table[name] for name in table.column_names}
    plain = {
        name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for name, column in columns.items()
    }
    return {name: column.to_numpy() for name, column in plain.items()}
