"""`cratelm steer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, Dtype, Loading, OpeningConfig
from cratelm.ranges import whole

if TYPE_CHECKING:
    from cratelm.progress import Progress
    from cratelm.units.clamp import Clamp


def steer(
    model: str,
    /,
    *units: str,
    prompt: str | None = None,
    sites: str | None = None,
    without_error: bool = False,
    count: Annotated[int, whole(0, 2**20)] = 10,
    new_tokens: Annotated[int, whole(0, 2**20)] = 20,
    on: str | None = None,
    strengths: str = "0.25,0.5,1,2",
    documents: Annotated[int | None, whole(1)] = 100,
    dtype: Dtype = "float32",
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Clamp units and compare what the model writes.

    The text is written with the clamped units and without them.

    Parameters
    ----------
    model
        A trained model's folder; any transformers folder with a causal language model and its tokenizer; the name of
        one on the hub, which is off unless HF_HUB_OFFLINE=0; or a folder of sparse autoencoders, whose latents are the
        units then. Nothing in it is executed.
    units
        What to do to which unit: `1/37=8` sets unit 37 of layer 1 to 8, `1/37+=8` adds 8, `'1/37*=2'` doubles it,
        `1/37=0` ablates it. `1/37@0,-1=8` sets it at the first and the last token alone. Give one or several.
    prompt
        The text that the model continues.
    sites
        Which activations are the units: a place in each block (mlp.neurons, mlp.out, attention.out or residual), or a
        glob over the names of the model's modules, with ':in' after it for their inputs. By default the neurons of each
        layer's MLP, a CRATE layer's sparse code, or the latents of autoencoders.
    without_error
        With autoencoders: replace the activations by their reconstructions. By default the reconstruction error is
        added again, so that only the clamps change the model.
    count
        How many of the tokens that become likelier are shown, and of those that become less likely.
    new_tokens
        How many tokens the model writes.
    on
        Measure how much the clamps raise the loss as well, on a set or a file as in `cratelm eval --on`.
    strengths
        With --on: the strengths of the clamps, with commas between them; 1 is what UNIT=VALUE says, 2 twice as much.
    documents
        With --on: how many documents are read, from the first.
    dtype
        The type of the model's weights and of its forward pass; `auto` is what its config.json says.
    json
        Print the result as JSON on stdout.

    Examples
    --------
    cratelm steer runs/laptop/models/crate 1/37=8 --prompt 'The film was'
    """
    from cratelm.errors import InputError
    from cratelm.models.subject import find_model
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.units.clamp import Clamp

    clamps = [Clamp.parse(unit) for unit in units]
    if not clamps or (prompt is None and on is None):
        raise InputError("nothing to do: give a unit and --prompt TEXT, such as 1/37=8 --prompt 'One day'.")
    multiples = _numbers(strengths)
    with Progress() as progress:
        found = find_model(model, opening)
        result: dict[str, Any] = {"model": model, "units": list(units), "dtype": dtype} | found.origin
        subject, clamps = _open(found.path, without_error, sites, opening.loading(dtype), clamps)
        if prompt is not None:
            result["steered"] = _steered(subject, clamps, prompt, count, new_tokens)
        if on is not None:
            result["damage"] = _damage_on(on, documents, subject, clamps, multiples, progress)
    if json:
        print_json(result)
    else:
        _print(result)


def _open(
    folder: Path, without_error: bool, sites: str | None, loading: Loading, clamps: "list[Clamp]"
) -> "tuple[tuple[Any, Any, list[str]], list[Clamp]]":
    """The network, its tokenizer and its sites by layer; and the clamps of units as clamps of coordinates there."""
    from cratelm.interface.loaded_model import sized_sites
    from cratelm.sae.open import open_with_latents
    from cratelm.units.clamp import at_coordinate

    network, tokenizer = open_with_latents(folder, without_error, loading)
    known = list(sized_sites(network, sites))
    subject = network, tokenizer, [site.name for site in known]
    return subject, [at_coordinate(clamp, known) for clamp in clamps]


def _steered(
    subject: tuple[Any, Any, Any], clamps: "list[Clamp]", prompt: str, count: int, new_tokens: int
) -> dict[str, Any]:
    """What the model says after the prompt, with the clamps and without."""
    import dataclasses

    from cratelm.units.steer import steer as steer_prompt

    return dataclasses.asdict(steer_prompt(*subject, clamps, prompt, count, new_tokens))


def _damage_on(
    evaluation_set: str,
    documents: int | None,
    subject: tuple[Any, Any, Any],
    clamps: "list[Clamp]",
    strengths: list[float],
    progress: "Progress",
) -> list[dict[str, Any]]:
    """The loss on a set of documents, unsteered and at each strength."""
    from cratelm.corpus.evaluation_sets import read_evaluation_set
    from cratelm.units.steer import steering_damage

    texts = read_evaluation_set(evaluation_set, None, documents).documents
    return steering_damage(*subject, clamps, texts, strengths, progress)


def _numbers(text: str) -> list[float]:
    import math

    from cratelm.errors import InputError

    try:
        numbers = [float(part) for part in text.split(",")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except ValueError as error:
        raise InputError(f"--strengths {text}: give numbers with commas between them, such as 0.5,1,2.") from error
    return numbers


def _print(result: dict[str, Any]) -> None:
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    if "steered" in result:
        _print_steered(console, result["steered"])
    if "damage" in result:
        console.print(_damage_table(result["damage"]))


def _print_steered(console: Any, steered: dict[str, Any]) -> None:
    from rich.text import Text

    from cratelm.report.text import visible

    console.print(_changes(steered))
    console.print(f"KL(steered || unsteered) of the next token: {steered['divergence']:.4f} nats")
    prompt = visible("".join(steered["tokens"]))
    for name, key in (("without", "continuation"), ("with", "steered_continuation")):
        line = Text(f"{name:8}", style="bold")
        console.print(line + Text(prompt, style="dim") + Text(visible(steered[key]), style=""))


def _changes(steered: dict[str, Any]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from cratelm.report.text import visible

    table = Table(title="Next token", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("raised", "before", "after", "log ratio", "lowered", "before", "after", "log ratio"):
        table.add_column(name, justify="left" if name in ("raised", "lowered") else "right")
    for pair in zip(steered["raised"], steered["lowered"], strict=True):
        cells = []
        for change in pair:
            share = [f"{100 * change[key]:.3g}%" for key in ("before", "after")]
            cells += [f"'{visible(change['token'])}'", *share, f"{change['difference']:+.2f}"]
        table.add_row(*cells)
    return table


def _damage_table(rows: list[dict[str, Any]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from cratelm.report.number_text import estimate

    title = f"Loss on {rows[0]['documents']:,} documents, nats a token"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("strength", "loss [95%]", "damage"):
        table.add_column(name, justify="right")
    unsteered = rows[0]["nats_per_token"]["mean"]
    for row in rows:
        loss = row["nats_per_token"]
        shown = estimate(loss)
        name = "unsteered" if row["strength"] is None else f"{row['strength']:g}"
        table.add_row(name, shown, f"{loss['mean'] - unsteered:+.4f}")
    return table
