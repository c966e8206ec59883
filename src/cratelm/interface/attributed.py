"""One activation taken apart, as it is shown in a notebook and handed on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cratelm.circuits.graph import Graph
from cratelm.circuits.heads import HeadPart, lines_of_heads
from cratelm.circuits.tree import as_json, how_to_read, lines_of
from cratelm.circuits.write_graph import WRITERS, label_of
from cratelm.errors import InputError
from cratelm.interface.frames import require_pandas
from cratelm.notebook.markup import box, text
from cratelm.report.text import visible

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class Attributed:
    """Which units and tokens made a unit fire: `model.why` gives it.

    >>> import cratelm
    >>> found = cratelm.load(MODEL).why("1/3", "the film was")
    >>> first = found.graph.traces[found.graph.target]
    >>> total = sum(edge.contribution for edge in first.edges) + first.others + first.constant
    >>> abs(total - first.value) < 1e-4
    True
    """

    name: str
    """What is explained."""
    tokens: tuple[str, ...]
    """What the model read, its start token included."""
    graph: Graph
    """The contributors of the target, and of what contributes to it, as deep as was asked."""
    heads: tuple[HeadPart, ...] = ()
    """What reaches the target through each attention head, if that was asked for."""

    def frame(self) -> "DataFrame":
        """A row a contribution: the target, the source, the contribution, and the part without attention."""
        require_pandas()
        from pandas import DataFrame

        rows = [
            (label_of(edge.target, self.tokens), label_of(edge.source, self.tokens), edge.contribution, edge.direct)
            for edge in self.graph.edges()
        ]
        return DataFrame(rows, columns=["target", "source", "contribution", "direct"])

    def json(self) -> dict[str, Any]:
        """The graph as plain values, as `cratelm why --json` prints it."""
        heads = [
            {"attention": part.attention, "head": part.head, "contribution": part.contribution} for part in self.heads
        ]
        return as_json(self.graph, self.tokens) | ({"heads": heads} if heads else {})

    def write(self, path: str | Path) -> None:
        """Write the graph: a file .json for circuit-tracer's viewer, .graphml for programs that draw graphs.

        Raises InputError for any other ending.
        """
        if (ending := Path(path).suffix) not in WRITERS:
            raise InputError(f"{path}: give a file that ends in {' or '.join(WRITERS)}.")
        WRITERS[ending](self.graph, self.tokens, Path(path))

    def __repr__(self) -> str:
        tokens = [visible(token) for token in self.tokens]
        whole = self.graph.traces[self.graph.target].value
        parts = lines_of(self.graph, tokens, self.name), lines_of_heads(self.heads, whole, tokens)
        return "\n".join([*parts[0], *parts[1], how_to_read(self.graph)])

    def _repr_html_(self) -> str:
        return box(f"Why {self.name}", f"<pre>{text(repr(self))}</pre>")
