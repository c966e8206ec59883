"""The match stage: two models and text in, the partner of every unit out.

OUT/matches.parquet  a row a unit of either model: its partner in the other, and how they correlate
OUT/matches.json     the share of units with a partner above each bound, by layer, next to the control's
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from cratelm.artifacts import Artifact, Stage, run_stage, write_json
from cratelm.errors import InputError
from cratelm.match.config import MatchConfig
from cratelm.match.cross_sums import CrossSums
from cratelm.models.subject import model_folder
from cratelm.progress import Progress
from cratelm.records.recording import Recording
from cratelm.records.tiling import Shard
from cratelm.seeds import derive_seed
from cratelm.stats import ratio_interval
from cratelm.training.text_losses import context_length

MATCHES = Stage("matches", files=("matches.parquet", "matches.json"))
BOUNDS = (0.5, 0.7, 0.9)
"""A unit has a partner above a bound if its highest correlation with a unit of the other model is above it."""
MOST_PAIRS = 2**28
"""Pairs of units whose sums are held at once, 4 GB."""


def match(
    config: MatchConfig,
    first: Artifact,
    second: Artifact,
    tokens: Artifact,
    out: Path,
    progress: Progress,
    device: str = "auto",
) -> Artifact:
    """Match the units of two models on the score half of `tokens`, in `out`."""
    inputs = {"first": first, "second": second, "tokens": tokens}

    def work(folder: Path) -> None:
        _match(config, (first, second), tokens, folder, progress, device)

    return run_stage(out, MATCHES, config, inputs, work)


def _match(
    config: MatchConfig, models: Sequence[Artifact], tokens: Artifact, folder: Path, progress: Progress, device: str
) -> None:
    with progress.task("looking at the sites of both models"):
        recordings = _opened(config, models, tokens, device)
    sums = _summed(recordings, progress)
    sides = [_Side.of(recording) for recording in recordings]
    paired, control = sums.correlations()
    found = [_partners(paired, control), _partners(paired.T, control.T)]
    rows = [_rows(*given) for given in zip(("first", "second"), sides, reversed(sides), found, strict=True)]
    pq.write_table(pa.concat_tables(rows), folder / "matches.parquet", compression="zstd")
    names = [{"model": model.name, **model.origin} for model in models]
    summaries = [_summary(side, partners, config.seed) for side, partners in zip(sides, found, strict=True)]
    parts = [name | summary for name, summary in zip(names, summaries, strict=True)]
    write_json(folder / "matches.json", {"tokens": sums.count, "first": parts[0], "second": parts[1]})


def _opened(config: MatchConfig, models: Sequence[Artifact], tokens: Artifact, device: str) -> list[Recording]:
    """Both models on the same text, in contexts that both can read; InputError where that cannot be."""

    def reading(context: int) -> list[Recording]:
        settings = config.recording(context)
        return [Recording(settings, model_folder(model), tokens, device=device) for model in models]

    opened = reading(config.context)
    contexts = [context_length(recording.network, config.context) for recording in opened]
    if contexts[0] != contexts[1]:  # otherwise both read the same as they are, and need not be opened again
        opened = reading(min(contexts))
    for recording in opened:
        recording.require_sense()
    units = [sum(site.units for site in recording.sites) for recording in opened]
    if units[0] * units[1] > MOST_PAIRS:
        raise InputError(
            f"{units[0]:,} and {units[1]:,} units are more pairs than the {MOST_PAIRS:,} that fit into 4 GB. Name "
            "fewer with --sites, such as one layer's."
        )
    starts = [recording.halves["score"].own_start for recording in opened]
    if starts[0] != starts[1]:
        raise InputError(
            "one model reads a start token before the text and the other none, so the two do not read the same."
        )
    return opened


def _summed(recordings: Sequence[Recording], progress: Progress) -> CrossSums:
    sums, (first, second) = CrossSums(), recordings
    shards = [shard for shard in first.shards if shard.half.name == "score"]
    with progress.task("matching", total=sum(len(shard.batches) for shard in shards)) as bar:
        for shard in shards:
            for batch in shard.batches:
                sums.see(*(_all_units(recording, shard, batch) for recording in (first, second)))
                bar.advance()
    return sums


def _all_units(recording: Recording, shard: Shard, batch: np.ndarray) -> torch.Tensor:
    """The units of all sites side by side: (contexts, tokens, units)."""
    return torch.cat(recording.activations(shard, batch), dim=-1)


@dataclass(frozen=True)
class _Side:
    """The units of one model, all layers in a row."""

    layer: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, recording: Recording) -> "_Side":
        """Those of a recording's sites."""
        counts = [site.units for site in recording.sites]
        return cls(np.repeat(np.arange(len(counts)), counts), np.concatenate([np.arange(count) for count in counts]))


@dataclass(frozen=True)
class _Partners:
    """For each unit the one of the other model that correlates most with it."""

    place: np.ndarray
    """(units,): its place among the other model's units; -1 for a unit that never varies."""
    r: np.ndarray
    """(units,): their correlation; NaN for a unit that never varies."""
    mutual: np.ndarray
    """(units,): whether the partner's own partner is this unit."""
    control: np.ndarray
    """(units,): the highest correlation on texts that are not the same."""


def _partners(paired: np.ndarray, control: np.ndarray) -> _Partners:
    known = ~np.isnan(paired).all(1)
    filled = np.where(np.isnan(paired), -2.0, paired)  # below any correlation
    place = filled.argmax(1)
    back = filled.argmax(0)
    best = np.where(np.isnan(control), -2.0, control).max(1)
    return _Partners(
        np.where(known, place, -1),
        np.where(known, filled.max(1), np.nan),
        known & (back[place] == np.arange(len(place))),
        np.where(known, best, np.nan),
    )


def _rows(side: str, own: _Side, other: _Side, partners: _Partners) -> pa.Table:
    known = partners.place >= 0
    return pa.table(
        {
            "side": [side] * len(own.unit),
            "layer": pa.array(own.layer, pa.int16()),
            "unit": pa.array(own.unit, pa.int32()),
            "partner_layer": pa.array(other.layer[partners.place], pa.int16(), mask=~known),
            "partner_unit": pa.array(other.unit[partners.place], pa.int32(), mask=~known),
            "r": pa.array(partners.r, pa.float64(), from_pandas=True),
            "mutual": partners.mutual,
            "control": pa.array(partners.control, pa.float64(), from_pandas=True),
        }
    )


def _summary(side: _Side, partners: _Partners, seed: int) -> dict[str, Any]:
    layers: list[int | str] = [*range(int(side.layer.max()) + 1), "all"]
    return {"units": len(side.unit), "layers": [_shares(side, partners, layer, seed) for layer in layers]}


def _shares(side: _Side, partners: _Partners, layer: int | str, seed: int) -> dict[str, Any]:
    """One layer's shares, of the units that vary: with a partner, with a mutual one, and in the control."""
    rows = (partners.place >= 0) & ((side.layer == layer) if layer != "all" else True)
    r, mutual, control = partners.r[rows], partners.mutual[rows], partners.control[rows]
    shares = {
        str(bound): {
            "partner": _share(r > bound, seed),
            "mutual": _share((r > bound) & mutual, seed),
            "control": _share(control > bound, seed),
        }
        for bound in BOUNDS
    }
    return {"layer": layer, "units": int(rows.sum()), "shares": shares}


def _share(holds: np.ndarray, seed: int) -> dict[str, float | None]:
    """A share of units and its 95% interval, units drawn again."""
    if not len(holds):
        return {"share": None, "low": None, "high": None}
    low, high = ratio_interval(holds * 1.0, np.ones(len(holds)), derive_seed(seed, "match"))
    return {"share": float(holds.mean()), "low": low, "high": high}
