"""A unit traced back to the tokens: its strongest contributors, theirs, and so on, as a graph.

Layers only point upwards, so there are no cycles. What is left out at a node is kept as a number, so that a node's
contributions still add up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cratelm.circuits.attribution import Attribution, Target, attribute
from cratelm.circuits.tape import Tape


@dataclass(frozen=True, order=True)
class Node:
    """Something that contributes: a unit, a token's embedding, a position's, or the logit that is explained."""

    kind: str
    """`unit`, `error`, `token`, `position` or `logit`. An error is what an autoencoder misses of a layer."""
    layer: int
    """Of a unit or an error; -1 of what enters the first block, the number of layers of a logit."""
    unit: int
    """Of a unit its number, of an error 0, of a token or a logit the token's, of a position the position."""
    position: int
    """In the text, the start token's being 0."""


@dataclass(frozen=True)
class Edge:
    """What one node contributes to another."""

    source: Node
    target: Node
    contribution: float
    """To the target's pre-activation or logit."""
    direct: float
    """The part of it that no attention takes part in."""


@dataclass(frozen=True)
class Trace:
    """A node taken apart: what is kept, and what is left out."""

    node: Node
    value: float
    """The pre-activation, or the logit."""
    edges: tuple[Edge, ...]
    """The strongest contributors, the strongest first."""
    others: float
    """The sum of what all others contribute."""
    constant: float
    """What biases and thresholds leave."""


@dataclass(frozen=True)
class Graph:
    """A target and what it goes back to. The attention weights and norms of this text are held."""

    target: Node
    ids: tuple[int, ...]
    """The text's tokens, the start token first."""
    traces: dict[Node, Trace]
    """Of every node that was taken apart."""
    activations: dict[Node, float]
    """Of the units in it."""

    def edges(self) -> Iterator[Edge]:
        """All of them."""
        for trace in self.traces.values():
            yield from trace.edges

    def nodes(self) -> list[Node]:
        """All of them, the earliest layer first."""
        return sorted({self.target} | {edge.source for edge in self.edges()}, key=lambda node: (node.layer, node))


def trace(tape: Tape, ids: torch.Tensor, target: Target, depth: int = 1, width: int = 8) -> Graph:
    """Take a target of ids (T,) apart, then its `width` strongest contributors, `depth` times.

    Raises InputError where the target is not on the tape.
    """
    first = node_of(tape, target)
    traces: dict[Node, Trace] = {}
    frontier = [first]
    for _ in range(depth):
        reached = []
        for node in frontier:
            if node in traces or node.kind not in ("unit", "logit"):
                continue
            asked = target if node == first else Target(node.layer, node.unit, node.position)
            traces[node] = taken_apart(tape, node, attribute(tape, asked), ids, width)
            reached += [edge.source for edge in traces[node].edges]
        frontier = reached
    units = {edge.source for one in traces.values() for edge in one.edges if edge.source.kind == "unit"}
    units |= {first} if first.kind == "unit" else set()
    return Graph(first, tuple(ids.tolist()), traces, {node: _activation(tape, node) for node in units})


def node_of(tape: Tape, target: Target) -> Node:
    """A target as a node of a graph."""
    if target.layer is None:
        return Node("logit", len(tape.sites), target.unit, target.position)
    return Node("unit", target.layer, target.unit, target.position)


def _activation(tape: Tape, node: Node) -> float:
    coordinate, sign = tape.coordinate(node.layer, node.unit)
    return sign * float(tape.units[node.layer][0, node.position, coordinate].detach())


def taken_apart(tape: Tape, node: Node, whole: Attribution, ids: torch.Tensor, width: int) -> Trace:
    """A node's `width` strongest contributors, and what is left out."""
    found: list[Edge] = []
    for layer, contributions in whole.units.items():
        flat = contributions.flatten()
        for place in flat.abs().topk(min(width, len(flat))).indices.tolist():
            position, coordinate = divmod(place, contributions.shape[1])
            source = Node("unit", layer, tape.unit(layer, coordinate, position), position)
            direct = float(whole.direct[layer][position, coordinate]) if layer in whole.direct else 0.0
            found.append(Edge(source, node, float(flat[place]), direct))
    for layer, contributions in whole.errors.items():
        both = zip(contributions.tolist(), whole.direct_errors.get(layer, 0 * contributions).tolist(), strict=True)
        found += [Edge(Node("error", layer, 0, place), node, *parts) for place, parts in enumerate(both)]
    tokens, places = whole.direct_entry
    for position, token in enumerate(ids.tolist()):
        of_token = Node("token", -1, token, position), node, float(whole.tokens[position]), float(tokens[position])
        of_place = Node("position", -1, position, position), node, float(whole.positions[position])
        found += [Edge(*of_token), Edge(*of_place, float(places[position]))]
    found = sorted((edge for edge in found if edge.contribution), key=lambda edge: -abs(edge.contribution))[:width]
    everything = sum(float(part.double().sum()) for part in whole.parts())
    others = everything - sum(edge.contribution for edge in found)
    return Trace(node, whole.value, tuple(found), others, whole.constant)
