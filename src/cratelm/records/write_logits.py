"""The tokens that each unit's writing raises and lowers most, read off the weights through the unembedding."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from cratelm.records.logits import FILE, SCHEMA
from cratelm.records.recording import Recording
from cratelm.units.directions import unit_directions
from cratelm.units.unembedding import find_unembedding

UNITS_AT_ONCE = 64


@torch.inference_mode()
def write_logits(folder: Path, recording: Recording, count: int) -> list[str]:
    """Write a row a unit: the `count` tokens each way, the strongest first, and by how much.

    Gives the sites whose units write no direction that is known: they have no rows.
    """
    unknown, tables = [], []
    # In few bits, nothing would be linear enough to be measured. The passes are over, so the network may change.
    with torch.inference_mode(False):  # unit_directions differentiates
        network = recording.network.float()
    unembedding = find_unembedding(network)
    for layer, site in enumerate(recording.sites):
        directions = unit_directions(network, site.name, site.signed)
        if unembedding is None or directions is None or directions.shape != (site.units, len(unembedding.scale)):
            unknown.append(site.name)
            continue
        for first, some in _numbered(directions):
            effects = unembedding.effects(some, recording.vocabulary)
            tables.append(_rows(layer, first, effects, count))
    pq.write_table(pa.concat_tables([SCHEMA.empty_table(), *tables]), folder / FILE, compression="zstd")
    return unknown


def _numbered(directions: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """Some directions at a time, with the number of the first."""
    return [(k * UNITS_AT_ONCE, some) for k, some in enumerate(directions.split(UNITS_AT_ONCE))]


def _rows(layer: int, first: int, effects: torch.Tensor, count: int) -> pa.Table:
    """The rows of the units from `first` on, by their effects (units, V)."""
    columns = [[layer] * len(effects), list(range(first, first + len(effects)))]
    for largest in (True, False):
        values, tokens = effects.topk(min(count, effects.shape[1]), largest=largest)
        columns += [tokens.tolist(), values.tolist()]
    return pa.Table.from_arrays(
        [pa.array(c, field.type) for c, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )
