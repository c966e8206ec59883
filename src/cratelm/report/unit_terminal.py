"""One unit in the terminal: its statistics, what is said of it, and its excerpts, coloured by activation."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cratelm.records.logits import SIDES
from cratelm.report.text import visible

BARS = " ▁▂▃▄▅▆▇█"
CONNECTIONS = ("fed_by", "feeds")
EXPLANATION = 60
"""Characters of a neighbouring unit's explanation."""
FAINT, STRONG = (255, 243, 214), (226, 88, 34)
"""The backgrounds of a token on which the unit hardly fires, and of one on which it fires most: paper to ember."""


def print_unit(known: dict[str, Any], half: str, count: int) -> None:
    """Print what `read_unit` found: `count` excerpts of each kind of one half, an interval's best alone."""
    # A pipe has no width of its own. Text of data is never read as markup.
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    console.print(Text(known["unit"], "bold") + Text(visible(f"  {known['site']} of {known['model']}"), "dim"))
    console.print(_statistics(known["statistics"]))
    if known["context"]:
        console.print(_context(known["context"]), soft_wrap=True)
    said = {name: sentence for name, sentence in known["explanations"].items() if sentence is not None}
    for name, sentence in said.items():
        console.print(Text(f"{name}: ", "bold") + Text(visible(sentence)), soft_wrap=True)
    for side in SIDES if known["logits"] else ():
        console.print(_raised(side, known["logits"]), soft_wrap=True)
    for way in CONNECTIONS if "connections" in known else ():
        console.print(_connected(way, known["connections"]))
    if known["scores"]:
        console.print(_scores(known["scores"]))
    mine = [excerpt for excerpt in known["excerpts"] if excerpt["half"] == half]
    highest = max((max(excerpt["activations"]) for excerpt in mine), default=0)
    shown = [excerpt for excerpt in mine if excerpt["rank"] < (count if excerpt["interval"] is None else 1)]
    for excerpt in shown:
        console.print(_heading(excerpt))
        console.print(_heatmap(excerpt, highest, coloured=console.color_system is not None), soft_wrap=True)
    if not shown:
        console.print(f"No excerpts of the {half} half: the unit never fires in it, or is not finite.")


def _statistics(by_half: dict[str, dict[str, Any]]) -> Table:
    names = ("firing rate", "maximum", "mean", "variance", "skewness", "kurtosis", "token share", "position share")
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("half", *names, "histogram"):
        table.add_column(name, justify="left" if name in ("half", "histogram") else "right")
    for half, values in by_half.items():
        cells = [_number(values[name.replace(" ", "_")]) for name in names]
        table.add_row(half, *cells, _bars(values["histogram"] or []))
    return table


def _context(context: dict[str, Any]) -> Text:
    """r2 with the last k tokens alone, and the smallest k that is enough."""
    by_k = ", ".join(f"{k}: {r2:.2f}" for k, r2 in zip(context["last"], context["r2"], strict=True))
    reach = f"more than {context['last'][-1]}" if context["reach"] is None else str(context["reach"])
    return Text("r2 with the last k tokens alone: ", "bold") + Text(f"{by_k}; reach {reach}")


def _raised(side: str, logits: dict[str, Any]) -> Text:
    said = (f"'{visible(token)}' {by:+.3g}" for token, by in zip(logits[side], logits[f"{side}_by"], strict=True))
    return Text(f"{side}: ", "bold") + Text(", ".join(said))


def _connected(way: str, connections: dict[str, Any]) -> Text | Table:
    """The units of a neighbouring layer, with what is contributed to a token on average."""
    name, rows = way.replace("_", " "), connections[way]
    if rows is None:
        return Text(f"{name}: ", "bold") + Text("there is no such layer")
    title = f"{name}: what is added to a token's pre-activation, mean over {connections['tokens']:,} tokens"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=title, title_justify="left")
    for column in ("unit", "adds", "direct weight", "explanation"):
        table.add_column(column, justify="right" if column in ("adds", "direct weight") else "left")
    for row in rows:
        numbers = f"{row['contribution']:+.3g}", f"{row['weight']:+.3g}"
        said = Text(visible(row["explanation"] or "–"))
        said.truncate(EXPLANATION, overflow="ellipsis")
        table.add_row(f"{row['layer']}/{row['unit']}", *numbers, said)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _bars(counts: Sequence[int]) -> str:
    """A histogram in a line, on the scale of logarithms: activations of most units fall off fast."""
    highest = max(counts, default=0)
    return "".join(BARS[-(-(len(BARS) - 1) * count.bit_length() // max(highest.bit_length(), 1))] for count in counts)


def _scores(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("explainer", "metric", "score [95%]", "shuffled", "status"):
        table.add_column(name, justify="right" if name in ("score [95%]", "shuffled") else "left")
    for row in rows:
        ends = "" if row["low"] is None else f" [{_number(row['low'])}, {_number(row['high'])}]"
        cells = _number(row["score"]) + ends, _number(row["shuffled"]), str(row["status"] or "–")
        table.add_row(row["explainer"], row["metric"], *cells)
    return table


def _heading(excerpt: dict[str, Any]) -> Text:
    """Where an excerpt is from; its peak in words too, for terminals without colours."""
    peak = max(range(len(excerpt["activations"])), key=excerpt["activations"].__getitem__)
    kind = excerpt["kind"] if excerpt["interval"] is None else f"interval {excerpt['interval']}"
    where = f", {len(excerpt['tokens'])} tokens, document {excerpt['document']}, from {excerpt['start']}"
    said = f": {excerpt['activations'][peak]:.3g} on '{visible(excerpt['tokens'][peak])}'"
    return Text(f"\n{kind} {excerpt['rank']}", "bold") + Text(where + said, "dim")


def _heatmap(excerpt: dict[str, Any], highest: float, coloured: bool) -> Text:
    """The tokens by colour; without colours, as in a pipe, «those» on which the unit fires half as much or more."""
    text = Text()
    for token, activation in zip(excerpt["tokens"], excerpt["activations"], strict=True):
        said = visible(token)
        marked = said if coloured or activation <= 0 or activation < highest / 2 else f"«{said}»"
        text.append(marked, _style(activation / highest) if activation > 0 else None)
    return text


def _style(share: float) -> str:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(FAINT, STRONG, strict=True))
    return f"black on rgb({red},{green},{blue})"
