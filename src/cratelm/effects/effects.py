"""The effects stage: what a model's units do to its output, and whether that agrees with their explanations.

OUT/effects-LAYER.parquet  a row a unit that was drawn
OUT/effects.json           the means of each layer with their intervals

Fidelity: does setting a unit to zero change the next token's logits as the unembedding says it would? Necessity: how
much does the loss grow, where the unit fires most and elsewhere? Following: are its effects where an explanation
expects its activations?
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, Stage, run_stage, write_json
from cratelm.effects.config import EffectsConfig
from cratelm.effects.layer_effects import LayerEffects
from cratelm.errors import InputError
from cratelm.explain.explain import require_same_records
from cratelm.parquet import read_table
from cratelm.progress import Progress
from cratelm.records.store import read_layers
from cratelm.stats import draw_weights, interval

EFFECTS = Stage("effects", files=("effects-[0-9]*.parquet", "effects.json"))
REPLICATES = 1000
"""How often units are drawn again for an interval."""


def measure_effects(
    config: EffectsConfig,
    model: Artifact,
    records: Artifact,
    explanations: Artifact,
    out: Path,
    progress: Progress,
    device: str = "auto",
) -> Artifact:
    """Measure the effects of a sample of a model's units in `out`, on the text sample of its records' score half.

    Raises InputError where the records are of another model, the explanations of other records, or no text is kept.
    """
    require_same_records(records, explanations)
    if records.manifest["inputs"]["model"] != model.sha256:
        raise InputError(f"the records in {records.path} were made of another model than {model.path}.")
    inputs = {"model": model, "records": records, "explanations": explanations}

    def work(folder: Path) -> None:
        _measure(config, model, records, explanations, folder, progress, device)

    return run_stage(out, EFFECTS, config, inputs, work)


def _measure(
    config: EffectsConfig,
    model: Artifact,
    records: Artifact,
    explanations: Artifact,
    folder: Path,
    progress: Progress,
    device: str,
) -> None:
    layers = range(len(read_layers(records)))
    with progress.task(f"setting units of {records.path.name} to zero", total=len(layers) * config.units) as bar:
        effects = LayerEffects.open(config, model, records, explanations, device)
        if config.attributed and effects.not_attributed:
            progress.say(f"units of {records.path.name} are not taken apart: {effects.not_attributed}")
        for layer in layers:
            path = folder / f"effects-{layer}.parquet"
            if not path.is_file():  # a killed run goes on here
                rows = []
                for row in effects.layer(layer):
                    rows.append(row)
                    bar.advance()
                _write(path, rows)
    write_json(folder / "effects.json", {"layers": [_summary(folder, layer, config.seed) for layer in layers]})


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    beside = path.with_name(path.name + ".new")
    pq.write_table(pa.Table.from_pylist(rows), beside, compression="zstd")
    beside.replace(path)


def read_effects(folder: Path, layer: int) -> dict[str, np.ndarray]:
    """The units of a layer that were drawn: `unit`, and a column a measure, NaN where it is not known."""
    table = read_table(folder / f"effects-{layer}.parquet")
    return {name: table[name].to_numpy() for name in table.column_names}


def _summary(folder: Path, layer: int, seed: int) -> dict[str, Any]:
    """Each measure's mean over units, with its 95% interval."""
    columns = read_effects(folder, layer)
    measured = {name: values for name, values in columns.items() if name not in ("unit", "partner")}
    return {"layer": layer, "units": len(columns.get("unit", ()))} | {
        name: mean_interval(values, seed) for name, values in measured.items()
    }


def mean_interval(values: np.ndarray, seed: int) -> dict[str, float | None]:
    """The mean over units (units,) and its interval when units are drawn again; None where fewer than two are known."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return {"mean": None, "low": None, "high": None}
    low, high = interval(draw_weights(len(known), REPLICATES, seed) @ known / len(known))
    return {"mean": float(known.mean()), "low": float(low), "high": float(high)}
