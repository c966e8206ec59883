"""`cratelm agree`."""

from pathlib import Path


def agree(one: Path, other: Path, /, *, json: bool = False) -> None:
    """Compare how two scorings rank the same units.

    Spearman's rank correlation, with its interval over units.

    Parameters
    ----------
    one
        A folder of scores.
    other
        Another one, of the same records.
    json
        Print the result as JSON on stdout.

    Examples
    --------
    cratelm agree runs/one/scores/crate runs/two/scores/crate
    """
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from cratelm.artifacts import open_artifact
    from cratelm.output import print_json
    from cratelm.report.number_text import estimate
    from cratelm.score.agreement import agreements

    rows = agreements(open_artifact(one, "scores"), open_artifact(other, "scores"))
    if json:
        print_json(rows)
        return
    table = Table(title="Rank correlation over units", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("one", "other", "layer", "units", "rho [95%]"):
        table.add_column(name, justify="left" if name in ("one", "other") else "right")
    for row in rows:
        table.add_row(row["one"], row["other"], str(row["layer"]), str(row["units"]), estimate(row["rho"]))
    Console(width=None if sys.stdout.isatty() else 100, highlight=False).print(table)
