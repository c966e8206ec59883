"""What units do to the output, model beside model: a row for each layer and model, on the page and in the terminal."""

from collections.abc import Sequence
from typing import Any

from cratelm.artifacts import Artifact, read_json
from cratelm.report.fitted_table import Column, fitted, open_console, print_text
from cratelm.report.measured import Measured
from cratelm.report.number_text import estimate

COLUMNS = {
    "fidelity": "fidelity",
    "fidelity_shuffled": "shuffled",
    "as_said": "as said",
    "loss": "loss, firing",
    "loss_elsewhere": "elsewhere",
    "loss_of_another": "another unit",
    "kept_16": "16 kept",
    "kept_16_shuffled": "16 at random",
    "predicted": "predicted",
}
"""Measures of one kind for every study, and what they are called in tables."""
FOLLOWS, SHUFFLED = "follows_", "_shuffled"
HOW_TO_READ = (
    "fidelity: Spearman's rho over tokens between what the unembedding says a unit raises and lowers and what setting "
    "it to zero changes, where it fires most. as said: the share of the ten tokens each way that move so (chance 0.5). "
    "loss: nats by which the loss on the next token grows when the unit is set to zero where it fires most, at random "
    "positions where it fires less, and when another unit that fires as often is set to zero instead. follows: "
    "Pearson's r over random positions between the size of the unit's effect on the logits and what an explanation "
    "expects, or the unit's own activation. 16 kept: how near a unit's pre-activation stays to what it was (1; 0 with "
    "none kept) when all earlier units but its 16 strongest contributors are set to their mean over the text, next to "
    "16 drawn at random. "
    "predicted: Pearson's r between what attribution says a contributor's zero would change and what it changes "
    "(docs/circuits.md). Intervals (95%): units drawn again."
)


def effect_rows(models: Sequence[Measured]) -> list[dict[str, Any]]:
    """Each measure with its interval, by layer and model; no rows where effects were not measured."""
    known = [(model.name, model.effects) for model in models if model.effects is not None]
    rows = [{"model": name} | layer for name, effects in known for layer in _layers(effects)]
    return sorted(rows, key=lambda row: row["layer"])  # stable: models stay in their order


def effect_columns(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What the measures of these rows are called, by their names."""
    names = dict.fromkeys(name for row in rows for name in row if name.startswith(FOLLOWS))
    follows = {name: f"follows {name.removeprefix(FOLLOWS)}" for name in names if not name.endswith(SHUFFLED)}
    return COLUMNS | follows


def print_effects(effects: Artifact) -> None:
    """One model's means on stdout: a column a layer."""
    layers = _layers(effects)
    titles = effect_columns(layers)
    columns = [
        Column(f"layer {layer['layer']}\n({layer['units']} units)", [estimate(layer.get(name)) for name in titles])
        for layer in layers
    ]
    console = open_console()
    measures = Column("", list(titles.values()), left=True)
    console.print(fitted("What units do to the output, mean [95%]", [measures], columns, console.width))
    print_text(console, HOW_TO_READ)
    console.print(f"Every unit: {effects.path.resolve()}/effects-LAYER.parquet", soft_wrap=True)


def _layers(effects: Artifact) -> list[dict[str, Any]]:
    return read_json(effects.path / "effects.json")["layers"]
