"""A graph as a file: in the format of circuit-tracer's viewer, or as GraphML for any program that draws graphs.

The fields are those of circuit-tracer's graph_models.py (github.com/safety-research/circuit-tracer, d797c82, 2025-06).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from cratelm.circuits.graph import Graph, Node

KINDS = {
    "unit": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "token": "embedding",
    "position": "embedding",
    "logit": "logit",
}
"""What circuit-tracer calls a node of each kind; it draws units as it draws the features of its transcoders."""


def write_circuit_tracer(graph: Graph, tokens: Sequence[str], path: Path) -> None:
    """Write a graph for circuit-tracer's viewer; `tokens` are the texts of the graph's ids."""
    metadata = {
        "slug": path.stem,
        "scan": "cratelm",
        "transcoder_list": [],
        "prompt_tokens": list(tokens),
        "prompt": "".join(tokens[1:]),
        "node_threshold": None,
    }
    shown = {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": name_of(graph.target), "sg_pos": ""}
    nodes = [_node(node, graph, tokens) for node in graph.nodes()]
    links = [
        {"source": name_of(edge.source), "target": name_of(edge.target), "weight": edge.contribution}
        for edge in graph.edges()
    ]
    document = {"metadata": metadata, "qParams": shown, "nodes": nodes, "links": links}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _node(node: Node, graph: Graph, tokens: Sequence[str]) -> dict[str, Any]:
    name = name_of(node)
    return {
        "node_id": name,
        "jsNodeId": name,
        "feature": node.unit,
        "layer": "E" if node.layer < 0 else str(node.layer),
        "ctx_idx": node.position,
        "feature_type": KINDS[node.kind],
        "token_prob": 0.0,
        "is_target_logit": node.kind == "logit",
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "clerp": label_of(node, tokens),
        "influence": None,
        "activation": graph.activations.get(node),
    }


def write_graphml(graph: Graph, tokens: Sequence[str], path: Path) -> None:
    """Write a graph as GraphML: nodes with `kind`, `label` and `activation`, edges with `contribution` and `direct`."""
    keys = {"node": {"kind": "string", "label": "string", "activation": "double"}}
    keys["edge"] = {"contribution": "double", "direct": "double"}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    lines += [
        f'<key id="{name}" for="{thing}" attr.name="{name}" attr.type="{kind}"/>'
        for thing, named in keys.items()
        for name, kind in named.items()
    ]
    lines.append('<graph edgedefault="directed">')
    for node in graph.nodes():
        data = {"kind": node.kind, "label": label_of(node, tokens), "activation": graph.activations.get(node)}
        lines.append(f'<node id="{name_of(node)}">{_data(data)}</node>')
    for edge in graph.edges():
        data = {"contribution": edge.contribution, "direct": edge.direct}
        lines.append(f'<edge source="{name_of(edge.source)}" target="{name_of(edge.target)}">{_data(data)}</edge>')
    path.write_text("\n".join([*lines, "</graph>", "</graphml>", ""]), encoding="utf-8")


def _data(values: dict[str, Any]) -> str:
    # quoteattr also escapes what XML has no way to write as it is, such as line breaks; its quotes are taken off.
    return "".join(
        f'<data key="{name}">{quoteattr(_writable(str(value)))[1:-1]}</data>'
        for name, value in values.items()
        if value is not None
    )


def _writable(text: str) -> str:
    """The text without characters that XML does not allow at all."""
    return "".join(
        "\ufffd" if (sign < " " and sign not in "\t\n\r") or sign in "\ufffe\uffff" else sign for sign in text
    )


def name_of(node: Node) -> str:
    """What a node is called in files: its layer, its unit or token, and its position."""
    layer = {"token": "E", "position": "P", "error": f"{node.layer}e"}.get(node.kind, str(node.layer))
    return f"{layer}_{node.unit}_{node.position}"


def label_of(node: Node, tokens: Sequence[str]) -> str:
    """What a node is called for people."""
    if node.kind == "unit":
        return f"{node.layer}/{node.unit} on {tokens[node.position]!r}"
    if node.kind == "error":
        return f"what the autoencoder of layer {node.layer} misses on {tokens[node.position]!r}"
    if node.kind == "token":
        return f"the token {tokens[node.position]!r}"
    return f"position {node.position}" if node.kind == "position" else f"the logit of token {node.unit}"


WRITERS = {".json": write_circuit_tracer, ".graphml": write_graphml}
"""By the ending of the file."""
