"""Why a unit fired: its contributors with what is said of each, and what happens when one of them is turned off."""

from typing import Any

import numpy as np
import torch

from cratelm.circuits.attribution import Target, attribute
from cratelm.circuits.graph import Graph, Node, Trace, trace
from cratelm.circuits.tape import Tape
from cratelm.circuits.turned_off import contribution_of, turned_off
from cratelm.corpus.model_tokenizer import start_token
from cratelm.errors import InputError
from cratelm.models.devices import device_of
from cratelm.training.text_losses import context_length
from cratelm.units.read import read_text
from cratelm.units.steer import LONGEST
from cratelm.viewer.json_numbers import significant, significant_number
from cratelm.viewer.layer_document import said_of
from cratelm.viewer.network import Network

WIDTH, DEPTH = 8, 2
"""Contributors that are named, and how often they are taken apart in turn."""
DEEP = 40_000
"""Tokens times the square of the layers up to the target, to which the time of taking apart is proportional. Beyond it
the contributors are not taken apart as well: in GPT-2 small, 257 tokens at the last layer then take 16 s of CPU."""
DIGITS = 6


def text_ids(network: Network, text: str) -> torch.Tensor:
    """A text of one's own as the model reads it, its start token first: (T,); InputError where it cannot."""
    return _on_device(network, read_text(network.model, network.tokenizer, text))


def recorded_ids(network: Network, tokens: np.ndarray) -> torch.Tensor:
    """Tokens of the recorded text (n,) behind the start token: (n + 1,); InputError where they are too many."""
    start, most = start_token(network.tokenizer), context_length(network.model, LONGEST)
    ids = np.concatenate([[] if start is None else [start], tokens]).astype(np.int64)
    if len(ids) > most:
        raise InputError(f"the excerpt's context has {len(ids)} tokens, the model reads {most}.")
    return _on_device(network, ids)


def why(network: Network, ids: torch.Tensor, target: Target) -> dict[str, Any]:
    """A unit taken apart: `traces` of it and of its strongest contributors, and the share of each token of the text.

    Raises InputError where there is no such position, or the model has no such sum.
    """
    read = _up_to(ids, target)
    tape = Tape.of(network.model, network.site_names, read)
    graph = trace(tape, read, target, _depth(read, target), WIDTH)
    of_positions = attribute(tape, target).by_position().cpu().numpy()
    return {
        "tokens": [_text(network, token) for token in ids.tolist()],
        "target": _node(graph, graph.target),
        "traces": [_trace(graph, one) for one in graph.traces.values()],
        "positions": significant(of_positions, DIGITS),
        "said": {f"{layer}/{unit}": said_of(network.viewed, layer, unit) for layer, unit in _units(graph)},
    }


def without(network: Network, ids: torch.Tensor, target: Target, source: Node) -> dict[str, Any]:
    """A unit's pre-activation `before` and `after` a contributor is turned off in the model, and as `predicted`."""
    read = _up_to(ids, target)
    tape = Tape.of(network.model, network.site_names, read)
    found = attribute(tape, target)
    predicted = found.value - contribution_of(tape, found, source)
    after = turned_off(network.model, tape, read, target, source)
    numbers = {"before": found.value, "predicted": predicted, "after": after}
    return {name: significant_number(value, DIGITS) for name, value in numbers.items()}


def _up_to(ids: torch.Tensor, target: Target) -> torch.Tensor:
    """The tokens up to a target, since later ones have no part in it; InputError where there is no such position."""
    if not 0 <= target.position < len(ids):
        raise InputError(f"there is no position {target.position}: the text has {len(ids)} tokens, counted from 0.")
    return ids[: target.position + 1]


def _depth(ids: torch.Tensor, target: Target) -> int:
    assert target.layer is not None
    return DEPTH if len(ids) * (target.layer + 1) ** 2 <= DEEP else 1


def _on_device(network: Network, ids: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(ids).to(device_of(network.model))


def _text(network: Network, token: int) -> str:
    texts = network.viewed.texts
    return texts[token] if token < len(texts) else f"<{token}>"


def _units(graph: Graph) -> list[tuple[int, int]]:
    return sorted({(node.layer, node.unit) for node in graph.nodes() if node.kind == "unit"})


def _trace(graph: Graph, one: Trace) -> dict[str, Any]:
    """Contributions with their shares of the pre-activation's size: they add up to 1, or to -1 where it is negative."""
    size = abs(one.value) or float("nan")

    def part(contribution: float) -> dict[str, Any]:
        return {"contribution": _number(contribution), "share": _number(contribution / size)}

    contributors = [
        _node(graph, edge.source) | part(edge.contribution) | {"direct": _number(edge.direct)} for edge in one.edges
    ]
    return {
        "node": _node(graph, one.node),
        "value": _number(one.value),
        "contributors": contributors,
        "others": part(one.others),
        "constant": part(one.constant),
    }


def _number(value: float) -> float | None:
    return significant_number(value, DIGITS)


def _node(graph: Graph, node: Node) -> dict[str, Any]:
    activation = graph.activations.get(node)
    known = None if activation is None else _number(activation)
    return {"kind": node.kind, "layer": node.layer, "unit": node.unit, "position": node.position, "activation": known}
