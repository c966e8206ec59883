"""What reaches a unit through each attention head, by the last head on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from cratelm.circuits.attribution import Target, attribute_heads
from cratelm.circuits.graph import Edge, node_of, taken_apart
from cratelm.circuits.tape import Tape
from cratelm.circuits.write_graph import label_of


@dataclass(frozen=True)
class HeadPart:
    """One head's part of a target."""

    attention: int
    """The number of the attention in the model, the first one's being 0."""
    head: int
    contribution: float
    """All that reaches the target through this head last, the head's own biases included."""
    strongest: Edge | None
    """The strongest contributor through it; None where only biases come through it."""


def by_head(tape: Tape, ids: torch.Tensor, target: Target) -> tuple[HeadPart, ...]:
    """The heads that have a part in a target, the one that contributes most first.

    Raises InputError where the target is not on the tape. It takes two backward passes a head.
    """
    node = node_of(tape, target)
    parts = []
    for (attention, head), through in attribute_heads(tape, target).items():
        edges = taken_apart(tape, node, through, ids, width=1).edges
        parts.append(HeadPart(attention, head, through.value, edges[0] if edges else None))
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution)))


def lines_of_heads(parts: Sequence[HeadPart], whole: float, tokens: Sequence[str]) -> Iterator[str]:
    """A line a head: its share of `whole`, its contribution, and the strongest contributor through it."""
    if parts:
        yield "By the last attention head on the way, without what comes by no attention:"
    for part in parts:
        share = f"{100 * part.contribution / whole:4.0f}%" if whole else "    –"
        from_where = f", most from {_said(part.strongest, tokens)}" if part.strongest else ""
        yield f"  {share} {part.contribution:+9.4f}  attention {part.attention}, head {part.head}{from_where}"


def _said(edge: Edge, tokens: Sequence[str]) -> str:
    where = f", position {edge.source.position}" if edge.source.kind != "position" else ""
    return f"{label_of(edge.source, tokens)}{where} ({edge.contribution:+.4f})"
