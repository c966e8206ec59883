"""`cratelm match`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.match.config import MatchConfig

NAMES = {"A": "first", "B": "second"}


def match(
    first: str,
    second: str,
    /,
    settings: Annotated[MatchConfig, Parameter(name="*")] = MatchConfig(),
    *,
    text: str,
    out: Path,
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Find each unit's partner in another model.

    Partners are found by correlation over all tokens of a text.

    Parameters
    ----------
    first
        The folder of a model, such as cratelm train or transformers writes, or the name of one on the hub. Nothing in
        it is executed.
    second
        The other model. Both read the text by the same tokenizer.
    text
        A folder that `cratelm tokenize` made with the models' tokenizer, or any corpus that it takes.
    out
        The folder to write. Tokens that have to be made first are written next to it, to OUT-tokens.
    json
        Print the shares as JSON on stdout.

    Examples
    --------
    cratelm match runs/a/models/crate runs/b/models/crate --text runs/a/tokens --out partners
    """
    from cratelm.artifacts import read_json
    from cratelm.match.match import match as run_match
    from cratelm.models.subject import open_subject, tokens_for
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.stages import next_to

    with Progress() as progress:
        one, other = (open_subject(name, opening) for name in (first, second))
        beside = next_to(out, "-tokens")
        tokens = tokens_for(one, text, beside, progress)
        tokens_for(other, str(tokens.path), beside, progress)  # refuses a model that reads other tokens
        matches = run_match(settings, one, other, tokens, out, progress, opening.device)
    found = read_json(matches.path / "matches.json")
    if json:
        print_json(found)
    else:
        _print(found, matches.path)


def _print(found: dict[str, Any], folder: Path) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Units with a partner, {found['tokens']:,} tokens", title_justify="left", box=SIMPLE_HEAD)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)  # three shares with their intervals fit into 80 columns
    bounds = list(found["first"]["layers"][0]["shares"])
    for name in ("of", "layer", "units", *(f"r > {bound}" for bound in bounds), "mutual", "control"):
        table.add_column(name, justify="left" if name == "of" else "right", no_wrap=True)
    for name, side in NAMES.items():
        for row in found[side]["layers"]:
            shares = [_shown(row["shares"][bound]["partner"]) for bound in bounds]
            beside = [_percent(row["shares"][bounds[0]][kind]["share"]) + "%" for kind in ("mutual", "control")]
            table.add_row(name, str(row["layer"]), str(row["units"]), *shares, *beside)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"A is {found['first']['model']}, B {found['second']['model']}. A unit's partner is the unit of the other "
        "model that correlates most with it, in any layer. mutual: the partner's own partner is the unit. control: the "
        f"texts that the two models read are not the same. Both are for r > {bounds[0]}."
    )
    console.print(f"Every unit's partner: {folder.resolve()}/matches.parquet", soft_wrap=True)


def _shown(share: dict[str, float | None]) -> str:
    return f"{_percent(share['share'])}% [{_percent(share['low'])}, {_percent(share['high'])}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"
