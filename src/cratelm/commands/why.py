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

    A unit's pre-activation is an exact sum over earlier units, tokens and positions.

    The attention weights and norms of this text are held at their values; with another activation they would change.

    Parameters
    ----------
    model
        The model's folder, or its name on the hub.
    target
        The unit, LAYER/UNIT such as 1/37, or the logit of the next token: `next` for the likeliest, or `next=TOKEN`.
    text
        What the model reads.
    against
        Of a next token: another one, whose logit is taken off.
    at
        The position that is explained, counted in what the model reads, its start token included; from the end if
        negative.
    depth
        How often the strongest contributors are taken apart too.
    width
        How many contributors are shown at each place.
    heads
        Also say what comes through each attention head, by the last one on the way.
    sites
        Where the units are, as in `cratelm record`; by default the neurons of each layer.
    graph
        Also write the graph: a file .json for the viewer of circuit-tracer, .graphml for programs that draw graphs.
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
