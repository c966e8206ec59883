"""All that is known of one unit, from a recording or a study, as plain data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cratelm.artifacts import MANIFEST, STUDY, Artifact, damage_named, open_unhashed, read_json
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.errors import InputError
from cratelm.folder_names import what_is
from cratelm.output import finite
from cratelm.parquet import read_table
from cratelm.records.context import read_units_context
from cratelm.records.logits import SIDES, read_logits
from cratelm.records.one_unit import Group, find_unit, read_groups, read_statistics

SCORES = ("explainer", "metric", "score", "low", "high", "shuffled", "status")


def read_unit(folder: Path, address: str) -> dict[str, Any]:
    """A unit of a study, by `model/layer/index`, or of a recording, by `layer/index`.

    Raises InputError where the folder is neither, or there is no such unit.
    """
    opened: list[Artifact] = []
    with damage_named(opened):
        return _read_unit(folder, address, opened)


def _read_unit(folder: Path, address: str, opened: list[Artifact]) -> dict[str, Any]:
    """The same; `opened` is filled with the stages that are read."""
    model = None
    if (folder / STUDY).is_file():
        model, _, address = address.partition("/")
        opened += [_of_study(folder, stage, model) for stage in ("records", "explanations", "scores")]
    elif (folder / MANIFEST).is_file():
        opened.append(open_unhashed(folder, "records"))
    else:
        raise InputError(f"{what_is(folder)} Give the folder of a study or of a recording.")
    records = opened[0]
    layer, unit = find_unit(records, address)
    summary = read_json(records.path / "records.json")
    texts = token_texts(read_tokenizer(records))
    known = {
        "unit": f"{model}/{layer}/{unit}" if model else f"{layer}/{unit}",
        "model": summary["model"],
        "site": summary["sites"][layer]["site"],
        "protocol": summary["protocol"],
        "statistics": read_statistics(records, layer, unit),
        "context": read_units_context(records, layer).get(unit),
        "logits": _logits(read_logits(records, layer, unit).get(unit), texts),
        "excerpts": _excerpts(read_groups(records, layer, [unit]), texts),
    }
    judged = _judged(opened[1], opened[2], layer, unit) if model else {"explanations": {}, "scores": []}
    return finite(known | judged)


def _of_study(folder: Path, stage: str, model: str) -> Artifact:
    """A model's stage in a study."""
    names = sorted(path.parent.name for path in (folder / stage).glob(f"*/{MANIFEST}"))
    if model not in names:
        raise InputError(
            f"the study {folder} has no {stage} of a model {model!r}, but of: {', '.join(names) or 'none yet'}. "
            f"Name a unit as model/layer/index, such as {next(iter(names), 'crate')}/0/0."
        )
    return open_unhashed(folder / stage / model, stage)


def _judged(explanations: Artifact, scores: Artifact, layer: int, unit: int) -> dict[str, Any]:
    (sentences,) = _rows(explanations.path / f"sentences-{layer}.parquet", unit)
    sentences.pop("unit")
    rows = _rows(scores.path / f"units-{layer}.parquet", unit)
    return {"explanations": sentences, "scores": [{name: row.get(name) for name in SCORES} for row in rows]}


def _rows(path: Path, unit: int) -> list[dict[str, Any]]:
    return read_table(path, filters=[("unit", "=", unit)]).to_pylist()


def _logits(logits: dict[str, list] | None, texts: Sequence[str]) -> dict[str, list] | None:
    """The tokens that it raises and lowers, as text, and by how much; None where they were not kept."""
    return logits and logits | {side: [texts[token] for token in logits[side]] for side in SIDES}


def _excerpts(groups: Sequence[Group], texts: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "half": group.half,
            "kind": group.kind,
            "interval": int(excerpts.interval[row]) if excerpts.interval[row] >= 0 else None,
            "rank": int(excerpts.rank[row]),
            "document": int(excerpts.document[row]),
            "start": int(excerpts.start[row]),
            "tokens": [texts[token] for token in excerpts.tokens[row]],
            "activations": excerpts.activations[row].tolist(),
        }
        for group in groups
        for excerpts in [group.excerpts]
        for row in range(len(excerpts.rank))
    ]
