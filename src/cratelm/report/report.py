"""The report stage: everything measured in, one page and one table out."""

import csv
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cratelm.artifacts import Artifact, Stage, read_json, run_stage, write_json
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.explain.registry import EXPLAINERS
from cratelm.progress import Progress
from cratelm.protocols import ENDPOINT
from cratelm.records.context import LAST, REACHED
from cratelm.report.autoencoders import autoencoder_rows, equal_delta_loss, loss_paid
from cratelm.report.cards import random_cards
from cratelm.report.comparison import differences, layer_differences, rate_bins, steadiness
from cratelm.report.config import ReportConfig
from cratelm.report.contents import with_contents
from cratelm.report.context import context_rows
from cratelm.report.effects import HOW_TO_READ, effect_columns, effect_rows
from cratelm.report.figures import layer_curves, loss_curves, score_histograms
from cratelm.report.glossary import glossary, term_button
from cratelm.report.headline import headline
from cratelm.report.judged import judged_rows, told, trials
from cratelm.report.little_text import scored_text
from cratelm.report.number_text import estimate, number, p_value
from cratelm.report.rows import Pair, detail_rows, explainers_beside, model_rows, table_rows
from cratelm.score.registry import METRICS
from cratelm.validate.planted import FOUND_BY, PLANTED

ONE_SEED = (
    "One training seed: the intervals include the choice of text and of units, and not the variance between seeds."
)
_OTHERS = "".join(f", {name} {count}" for name, count in FOUND_BY.items() if name != ENDPOINT.explainer)
PROVED = (
    f"† {ENDPOINT.explainer} recovers {FOUND_BY[ENDPOINT.explainer]} of {len(PLANTED)} planted units{_OTHERS} (cratelm "
    f"validate): what takes more than the unit's own token, {ENDPOINT.explainer} cannot say."
)
"""An explainer that does not find units whose rule is known is marked wherever its numbers stand."""

CURVES = (
    "Solid lines: trained models, with 95% intervals. Dashed: the same networks before training. Dotted: the ceiling, "
    "a table fitted on the whole explain half."
)
SPREAD = "How many units of a layer have which score; all panels have the same axes."
PAID = "Each point is a set of autoencoders: mean score against the validation loss with its reconstructions."

REPORT = Stage("report", files=("report.html", "table.json", "table.csv"))


def report(
    config: ReportConfig,
    pairs: Sequence[Pair],
    tokens: Artifact,
    out: Path,
    progress: Progress,
    judged: Sequence[Pair] = (),
) -> Artifact:
    """Make report.html, table.json and table.csv in `out`; `judged` are the same models by a language model."""
    inputs = {"tokens": tokens} | {
        f"{stage}/{model.name}": getattr(model, stage)
        for pair in pairs
        for model in pair
        for stage in ("model", "saes", "records", "explanations", "scores", "effects")
        if getattr(model, stage) is not None
    }
    inputs |= {
        f"judged/{stage}/{model.name}": getattr(model, stage)
        for pair in judged
        for model in pair
        for stage in ("explanations", "scores")
    }
    return run_stage(
        out, REPORT, config, inputs, lambda folder: _report(config, pairs, tokens, folder, progress, judged)
    )


def _report(
    config: ReportConfig,
    pairs: Sequence[Pair],
    tokens: Artifact,
    folder: Path,
    progress: Progress,
    judged: Sequence[Pair],
) -> None:
    with progress.task("writing the report"):
        table = {
            "note": f"{ONE_SEED} {PROVED}",
            "scored_text": scored_text(pairs[0][0].records),
            "models": model_rows(pairs),
            "autoencoders": autoencoder_rows(pairs),
            "equal_delta_loss": equal_delta_loss(pairs),
            "differences": differences(pairs),
            "layer_differences": layer_differences(pairs),
            "rows": table_rows(pairs),
            "details": detail_rows(pairs),
            "firing_rates": rate_bins(pairs),
            "steadiness": steadiness(pairs),
            "context": context_rows([trained for trained, _ in pairs]),
            "effects": effect_rows([trained for trained, _ in pairs]),
            "judged": judged_rows(judged),
            "judge": [told(trial) for trial in trials(judged)],
        }
        write_json(folder / "table.json", table)
        _write_csv(folder / "table.csv", table["rows"])
        (folder / "report.html").write_text(_page(config, pairs, tokens, table), encoding="utf-8")


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    flat = [_flatten(row) for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        # Otherwise csv ends lines as Windows does.
        writer = csv.DictWriter(file, flat[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    """An estimate becomes three columns: the mean under its own name, then _low and _high."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {key: value["mean"], f"{key}_low": value["low"], f"{key}_high": value["high"]}
        else:
            flat[key] = value
    return flat


def _page(config: ReportConfig, pairs: Sequence[Pair], tokens: Artifact, table: dict[str, Any]) -> str:
    texts = token_texts(read_tokenizer(tokens))
    models = [trained for trained, _ in pairs]
    # Autoescaping: whatever comes from the text is text on the page.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"estimate": estimate, "number": number, "p_value": p_value, "term": term_button}
    template = environment.from_string(files("cratelm.report").joinpath("page.html").read_text(encoding="utf-8"))
    page = template.render(
        table=table,
        headline=headline(table),
        glossary=glossary(),
        endpoint=ENDPOINT,
        effect_columns=effect_columns(table["effects"]),
        how_effects_read=HOW_TO_READ,
        last=LAST,
        reached=REACHED,
        beside=explainers_beside(pairs),
        metrics=METRICS.values(),
        notes=_notes(),
        explainers=EXPLAINERS.values(),
        corpus=tokens.config,
        counts=read_json(tokens.path / "counts.json"),
        training=models[0].model.config,
        halves=read_json(models[0].records.path / "records.json")["halves"],
        figures={title: {"svg": Markup(svg), "caption": caption} for title, caption, svg in _figures(pairs)},
        cards={model.name: random_cards(model, texts, config.cards, config.seed) for model in models},
    )
    return with_contents(page)


def _notes() -> dict[str, str]:
    """What a reader of metrics has to know beside their help, with the names of those that it is of: a, b and c."""
    named: dict[str, list[str]] = {}
    for metric in METRICS.values():
        if metric.note:
            named.setdefault(metric.note, []).append(metric.name)
    return {note: " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) for note, names in named.items()}


def _figures(pairs: Sequence[Pair]) -> Iterator[tuple[str, str, str]]:
    """Each figure's title, its caption and its drawing."""
    yield "Score by layer", CURVES, layer_curves(pairs)
    if any(trained.saes for trained, _ in pairs):
        yield "Interpretability against loss paid", PAID, loss_paid(pairs)
    yield "Loss", "Lines: loss on the batch; dots: validation loss.", loss_curves([p for p in pairs if not p[0].saes])
    trained = [trained for trained, _ in pairs]
    yield (
        "Spread of scores",
        "How many units of a layer have which score; all panels share their axes.",
        score_histograms(trained),
    )
