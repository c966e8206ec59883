"""The study as a whole: its models, their layers, and the comparison."""

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from cratelm.explain.explainers.llm import LLM
from cratelm.protocols import ENDPOINT
from cratelm.report.glossary import glossary
from cratelm.report.headline import headline
from cratelm.report.judged import FAILS, told
from cratelm.score.registry import METRICS
from cratelm.viewer.measured_table import measured_table
from cratelm.viewer.viewed_study import Study, ViewedModel

SUFFIX = "-untrained"
REPORTED = ("note", "models", "rows", "differences", "layer_differences")
"""What the page takes of the report's table."""


def is_control(name: str) -> bool:
    """Whether a model of a study, by its name, is the network before training."""
    return name.endswith(SUFFIX)


def study_document(study: Study, reader: str | None) -> dict[str, Any]:
    """What there is to look at, and the report's numbers; all paths but the folder's name are left out.

    `reader` is the name of the judge that reads sentences in Try, where there is one.
    """
    table = study.table or measured_table(list(study.models.values()))
    return {
        "name": _name(study.folder),
        "id": _identity(study),
        "reader": reader,
        "models": [
            {
                "name": model.name,
                "control": is_control(model.name),
                "protocol": model.protocol_name,
                "explainers": model.explainers,
                "judge": _judge(model),
                "latents": model.latents,
                "layers": [{"site": site.name, "units": site.units} for site in model.sites],
            }
            for model in study.models.values()
        ],
        "glossary": {name: asdict(term) for name, term in glossary().items()},
        "headline": headline(table),
        "primary": ENDPOINT._asdict(),
        "metrics": {metric.name: metric.help for metric in METRICS.values()},
        # Reports of earlier versions have no differences by layer.
        "report": {name: table.get(name, []) for name in REPORTED},
    }


def _name(folder: Path) -> str:
    """The folder's, or of a snapshot in the hub's cache, which a commit names, the repository's."""
    return folder.parents[1].name.rpartition("--")[2] if folder.parent.name == "snapshots" else folder.name


def _identity(study: Study) -> str:
    """The same for every copy and export of a study, and of no other: what a browser keeps notes under."""
    manifests = {name: model.scores.manifest for name, model in study.models.items()}
    return sha256(json.dumps(manifests, sort_keys=True).encode()).hexdigest()[:16]


def _judge(model: ViewedModel) -> dict[str, Any] | None:
    """Whether the language model that explained some units may be believed, and what it made of its puzzles."""
    if model.judged is None:
        return None
    trial = model.judged.trial
    return {"explainer": LLM.name, "mark": "" if trial["passes"] else FAILS, "told": told(trial)}
