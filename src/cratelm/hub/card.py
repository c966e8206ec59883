"""The README.md of a repository: what it holds, what was measured, whose the text is, and how to load it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cratelm.artifacts import MANIFEST, Artifact, open_unhashed, read_json
from cratelm.corpus.provenance import OWN, public_name
from cratelm.hub.licence import licence_lines
from cratelm.models.subject import model_folder
from cratelm.records.store import read_protocol
from cratelm.report.headline import headline
from cratelm.report.number_text import estimate, number
from cratelm.viewer.measured_table import measured_table
from cratelm.viewer.viewed_study import Study

TAGS = "tags: [interpretability, cratelm]"
RESULTS = (TAGS, "viewer: false")
"""Of what is no table: the hub need not try to show it as one."""
COLUMNS = ("model", "metric", "mean [95%]", "shuffled", "random weights")
PLACE = "this folder"
"""How a trained model's card names where it is (models/save.py)."""


def study_card(folder: Path, repository: str, corpus: str | None, licence: str | None) -> str:
    """The card of a study, or of a measured model."""
    study = Study(folder)
    table = study.table or measured_table(list(study.models.values()))
    load = [
        f"    HF_HUB_OFFLINE=0 cratelm view hub:{repository}",
        "",
        "or in Python:",
        "",
        "    import cratelm",
        f'    study = cratelm.open("hub:{repository}")',
    ]
    parts = [
        _head([*RESULTS, *licence_lines(licence)]),
        f"# {repository.partition('/')[2]}",
        f"A study by cratelm of {', '.join(study.models)}: recordings, explanations and scores of every unit.",
        " ".join(headline(table)),
        _scores(table["rows"]),
        table["note"],
        _text(corpus, licence, excerpts=True),
        "## Look at it\n\n" + "\n".join(load),
    ]
    return _joined(parts)


def records_card(folder: Path, repository: str, corpus: str | None, licence: str | None) -> str:
    """The card of a recording."""
    records = open_unhashed(folder, "records")
    made = read_json(folder / "records.json")
    units = [f"| {site['layer']} | `{site['site']}` | {site['units']:,} |" for site in made["sites"]]
    halves = [f"{half['tokens']:,} tokens ({name})" for name, half in made["halves"].items()]
    load = f'    import cratelm\n    recording = cratelm.open("hub:{repository}")'
    parts = [
        _head([*RESULTS, *licence_lines(licence)]),
        f"# {repository.partition('/')[2]}",
        f"A recording by cratelm of the model {made['model']}: activations, excerpts and statistics of every unit, on "
        f"{' and '.join(halves)}, protocol {read_protocol(records)}.",
        "\n".join(["| layer | site | units |", "| --- | --- | --- |", *units]),
        _text(corpus, licence, excerpts=True),
        f"## Load it\n\n{load}",
    ]
    return _joined(parts)


def model_card(folder: Path, repository: str, corpus: str | None, licence: str | None) -> str:
    """The model's own card, or a short one, and what a study next to it measured."""
    own = model_folder(Artifact(folder, {})) / "README.md"
    if own.is_file():
        card = own.read_text(encoding="utf-8").replace(PLACE, repository)
        card = card.replace(f"the corpus {corpus} ", f"{public_name(corpus)} ") if public_name(corpus) == OWN else card
    else:
        card = _joined([_head(["library_name: transformers", TAGS]), f"# {repository.partition('/')[2]}"])
    rows = _measured(folder)
    parts = [
        card.rstrip(),
        f'With cratelm, unit by unit:\n\n    import cratelm\n    model = cratelm.load("{repository}")',
        *([_scores(rows)] if rows else []),
        _text(corpus, licence, excerpts=False),
    ]
    return _joined(parts)


def pages_card(folder: Path, repository: str, corpus: str | None, licence: str | None) -> str:
    """The card of an export of the viewer, which tells the hub to serve its files as they are."""
    name = repository.partition("/")[2]
    parts = [
        _head([f"title: {name}", "sdk: static", TAGS, *licence_lines(licence)]),
        f"# {name}",
        "The units of language models, with their excerpts, explanations and scores: pages that `cratelm view STUDY "
        "--export DIR` wrote. Open `index.html`.",
        _text(corpus, licence, excerpts=True),
    ]
    return _joined(parts)


def _head(lines: Sequence[str]) -> str:
    return "\n".join(["---", *lines, "---"])


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _scores(rows: Sequence[dict[str, Any]]) -> str:
    """The mean over layers of each model and metric, by the endpoint's explainer."""
    lines = [
        f"| {row['model']} | {row['metric']} | {estimate(row['score'])} | {number(row['shuffled']['mean'])} | "
        f"{number(row.get('random_weights', {}).get('mean'))} |"
        for row in rows
        if row["layer"] == "all"
    ]
    explained = "Means over layers and units, by the explainer `table`. *Shuffled*: explanations of other units."
    head = [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join(["## Measured", "", *head, *lines, "", explained])


def _measured(folder: Path) -> list[dict[str, Any]]:
    """The rows of the study whose model this is, where it lies in that study's folder and is the model it measured."""
    report = folder.resolve().parents[1] / "report"
    if not ((report / MANIFEST).is_file() and (folder / MANIFEST).is_file()):
        return []
    made = open_unhashed(report, "report")
    if made.manifest["inputs"].get(f"model/{folder.resolve().name}") != Artifact(folder, {}).sha256:
        return []
    return [row for row in read_json(report / "table.json")["rows"] if row["model"] == folder.resolve().name]


def _text(corpus: str | None, licence: str | None, excerpts: bool) -> str:
    """Whose the text is."""
    said = f"licence {licence}" if licence else "its licence is not known, or does not allow to pass it on"
    held = "Parts of it are in this repository." if excerpts else "This repository holds none of it."
    return f"## Text\n\n{public_name(corpus)}: {said}. {held}"
