"""`cratelm why`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.ranges import whole


def why(
    model: str,
    target: str,
    /,
    *,
    text: str,
    against: str | None = None,
    at: Annotated[int, whole(-(2**20), 2**20)] = -1,
    depth: Annotated[int, whole(1, 20)] = 1,
    width: Annotated[int, whole(1, 1000)] = 8,
    heads: bool = False,
    sites: str | None = None,
    graph: Path | None = None,
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Take one activation apart: which units and tokens made it fire.

    A unit's pre-activation is an exact sum over earlier units, tokens and positions. The sum is exact while attention
    weights, norms and gates keep the values that they have on this text. If a unit is turned off, they change.

    Parameters
    ----------
    model
        The model's folder, or its name on the hub.
    target
        The unit, LAYER/UNIT such as 1/37, or the logit of the next token: `next` for the likeliest, or `next=TOKEN`.
    text
        The text that the model reads.
    against
        With TARGET next: explain the difference between its logit and the logit of this token.
    at
        The position that is explained. The start token, if the model has one, is at 0; -1 is the last token.
    depth
        How many levels are taken apart: with 2, the strongest contributors as well, and so on.
    width
        How many contributors are shown for each unit that is taken apart.
    heads
        Split contributions that come through attention by head, the last head on the way.
    sites
        Which activations are the units, as in `cratelm record --sites`; by default the neurons of each layer's MLP, or
        a CRATE layer's code.
    graph
        Also write the graph to this file: .json for circuit-tracer's viewer, .graphml for programs that draw graphs.
    json
        Print the graph as JSON on stdout.

    Examples
    --------
    cratelm why runs/laptop/models/crate 1/37 --text 'The film was great'
    """
    from rich.console import Console

    from cratelm.interface.loaded_model import load
    from cratelm.output import print_json

    require_writer(graph)
    found = load(model, sites=sites, revision=opening.revision, device=opening.device).why(
        target, text, at, against=against, depth=depth, width=width, heads=heads
    )
    if graph is not None:
        found.write(graph)
    if json:
        print_json(found.json())
    else:
        Console(highlight=False, markup=False, soft_wrap=True).print(repr(found))


def require_writer(path: Path | None) -> None:
    """Refuse a file that nothing could be written to, before anything is computed; raises InputError."""
    from cratelm.circuits.write_graph import WRITERS
    from cratelm.errors import InputError

    if path is not None and (path.suffix not in WRITERS or not path.parent.is_dir()):
        raise InputError(f"--graph {path}: give a file that ends in {' or '.join(WRITERS)}, in a folder that is there.")
