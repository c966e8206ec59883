"""`cratelm why`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.ranges import whole

if TYPE_CHECKING:
    from cratelm.circuits.graph import Graph


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
    sites
        Where the units are, as in `cratelm record`; the neurons of each layer where nothing is said.
    graph
        Also write the graph: a file .json for the viewer of circuit-tracer, .graphml for programs that draw graphs.
    json
        Print the graph as JSON on stdout.
    """
    from rich.console import Console

    from cratelm.circuits.graph import trace
    from cratelm.circuits.tape import Tape
    from cratelm.circuits.targets import find_target
    from cratelm.circuits.tree import HELD, as_json, lines_of
    from cratelm.models.subject import model_folder, open_subject
    from cratelm.output import print_json
    from cratelm.report.text import visible
    from cratelm.training.evaluate_texts import open_language_model
    from cratelm.units.sites import find_sites
    from cratelm.units.steer import read_prompt, token_text

    write = _writer(graph)
    network, tokenizer = open_language_model(model_folder(open_subject(model, opening)), opening.loading("float32"))
    ids = read_prompt(network, tokenizer, text)[0]
    tape = Tape.of(network, find_sites(network, sites), ids)
    asked = find_target(target, against, at, tape, tokenizer)
    found = trace(tape, ids, asked, depth, width)
    tokens = [token_text(tokenizer, token) for token in ids.tolist()]
    if write is not None and graph is not None:
        write(found, tokens, graph)
    if json:
        print_json(as_json(found, tokens))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    texts = [visible(token) for token in tokens]
    name = f"the logit of {visible(token_text(tokenizer, asked.unit))!r}" if asked.layer is None else target
    for line in lines_of(found, texts, f"{name} on {texts[found.target.position]!r}"):
        console.print(line)
    console.print(HELD)


def _writer(path: Path | None) -> "Callable[[Graph, Sequence[str], Path], None] | None":
    """What writes a graph into a file with this ending; InputError for any other, before anything is computed."""
    from cratelm.circuits.write_graph import WRITERS
    from cratelm.errors import InputError

    if path is None:
        return None
    if path.suffix not in WRITERS or not path.parent.is_dir():
        raise InputError(f"--graph {path}: give a file that ends in {' or '.join(WRITERS)}, in a folder that is there.")
    return WRITERS[path.suffix]
