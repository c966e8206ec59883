"""Which units feed a unit and which it feeds, without a text of one's own: means over a sample of the recorded text."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cratelm.circuits.connections import Connections, fed_by, feeds
from cratelm.circuits.tape import Tape
from cratelm.records.text_sample import read_pieces
from cratelm.viewer.json_numbers import significant
from cratelm.viewer.layer_document import said_of
from cratelm.viewer.network import Network
from cratelm.viewer.why import recorded_ids

TOKENS = 2048
"""Of the scored half's sample that means are taken over."""
COUNT = 10
"""Units that are listed each way, by the size of their mean contribution."""


def connections_document(network: Network, layer: int, unit: int) -> dict[str, Any]:
    """`fed_by` and `feeds` of one unit, None at the first and the last layer, and over how many `tokens`.

    Raises InputError where the records keep no text, or the model's units cannot be taken apart.
    """
    pieces = read_pieces(network.viewed.records, network.viewed.protocol.scored_on, TOKENS)
    tapes = [Tape.of(network.model, network.site_names, recorded_ids(network, piece)) for piece in pieces]
    last = len(network.viewed.sites) - 1
    return {
        "tokens": sum(map(len, pieces)),
        "fed_by": _strongest(network, fed_by, tapes, layer, unit) if layer > 0 else None,
        "feeds": _strongest(network, feeds, tapes, layer, unit) if layer < last else None,
    }


def _strongest(
    network: Network,
    find: Callable[[Sequence[Tape], int, int], Connections],
    tapes: Sequence[Tape],
    layer: int,
    unit: int,
) -> list[dict[str, Any]]:
    found = find(tapes, layer, unit)
    strongest = found.contribution.abs().argsort(descending=True, stable=True)[:COUNT]
    numbers = significant(np.stack([found.weight[strongest].cpu(), found.contribution[strongest].cpu()], axis=1))
    return [
        {"layer": found.layer, "unit": other, "weight": weight, "contribution": contribution}
        | said_of(network.viewed, found.layer, other)
        for other, (weight, contribution) in zip(strongest.tolist(), numbers, strict=True)
    ]
