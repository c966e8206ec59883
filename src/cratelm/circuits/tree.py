"""A graph as lines of text, and as plain values for JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from cratelm.circuits.graph import Graph, Node, Trace
from cratelm.circuits.write_graph import label_of

BAR = 12
"""Characters of the longest bar."""
HELD = (
    "Shares are of the {whole} and add up to 100%. They are exact for this text, with its attention weights, norms "
    "and gates held; turned off, a contributor may change more or less."
)
DEEPER = "Below a contributor they are of its own pre-activation."
SIGNS = "█ adds to the {whole}, ░ takes from it."
NEGATIVE = "Where a {whole} is negative, what takes from it has a positive share."


def lines_of(graph: Graph, tokens: Sequence[str], name: str) -> Iterator[str]:
    """A line a contributor with its bar, share and contribution; what contributes to it is indented below.

    `name` is what the target is called.
    """
    first = graph.traces[graph.target]
    yield _headline(graph, first, name)
    yield from _below(graph, first, tokens, 1, {graph.target})


def how_to_read(graph: Graph) -> str:
    """What shares and bars mean, and what they do not."""
    whole = "logit" if graph.target.kind == "logit" else "pre-activation"
    deeper = [DEEPER] if len(graph.traces) > 1 else []
    negative = [NEGATIVE] if any(trace.value < 0 for trace in graph.traces.values()) else []
    return " ".join([HELD, *deeper, SIGNS, *negative]).format(whole=whole)


def _headline(graph: Graph, trace: Trace, name: str) -> str:
    where = f"{name}, position {trace.node.position}"
    if trace.node.kind == "logit":
        return f"{where}: {trace.value:.4g}"
    activation = graph.activations[trace.node]
    fires = f"activation {activation:.4g}" if activation > 0 else "it does not fire here"
    return f"{where}: {fires}, pre-activation {trace.value:.4g}"


def _below(graph: Graph, trace: Trace, tokens: Sequence[str], depth: int, above: set[Node]) -> Iterator[str]:
    strongest = max((abs(edge.contribution) for edge in trace.edges), default=0.0)
    for edge in trace.edges:
        where = f", position {edge.source.position}" if edge.source.kind != "position" else ""
        way = "" if edge.direct == edge.contribution else " by attention" if not edge.direct else " partly by attention"
        yield _line(depth, edge.contribution, strongest, trace.value, label_of(edge.source, tokens) + where + way)
        deeper = graph.traces.get(edge.source)
        if deeper is not None and edge.source not in above:
            yield from _below(graph, deeper, tokens, depth + 1, above | {edge.source})
    for name, value in (("all others", trace.others), ("constant", trace.constant)):
        yield _line(depth, value, strongest, trace.value, name)


def _line(depth: int, contribution: float, strongest: float, whole: float, name: str) -> str:
    length = min(BAR, round(BAR * abs(contribution) / strongest)) if strongest else 0
    bar = ("█" if contribution >= 0 else "░") * length
    share = f"{100 * contribution / whole:4.0f}%" if whole else "    –"
    return f"{'  ' * depth}{bar:{BAR}} {share} {contribution:+9.4f}  {name}"


def as_json(graph: Graph, tokens: Sequence[str]) -> dict[str, Any]:
    """The graph as plain values: tokens, the target, and what each node that was taken apart consists of."""
    return {
        "tokens": list(tokens),
        "target": _node(graph, graph.target, tokens),
        "held": ["attention weights", "norms", "gates"],
        "traces": [_trace(graph, trace, tokens) for trace in graph.traces.values()],
    }


def _trace(graph: Graph, trace: Trace, tokens: Sequence[str]) -> dict[str, Any]:
    edges = [
        {"source": _node(graph, edge.source, tokens), "contribution": edge.contribution, "direct": edge.direct}
        for edge in trace.edges
    ]
    rest = {"others": trace.others, "constant": trace.constant}
    return {"node": _node(graph, trace.node, tokens), "value": trace.value, "contributors": edges} | rest


def _node(graph: Graph, node: Node, tokens: Sequence[str]) -> dict[str, Any]:
    named = {"kind": node.kind, "unit": node.unit, "position": node.position, "label": label_of(node, tokens)}
    return named | ({"layer": node.layer, "activation": graph.activations[node]} if node.kind == "unit" else {})
