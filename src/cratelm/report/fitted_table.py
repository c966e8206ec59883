"""Tables and text that fit a terminal: what is too wide becomes several tables, and no number is cut."""

import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

PIPE = 120
"""Columns where no terminal says how many there are: a pipe or a file."""
GAP = 2
"""Blanks between columns, and at both ends of a row together."""
UNBROKEN = re.compile(r"(?<=,) (?=[^\s\[\]]+\])")
"""The blank inside an interval."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    """Its heading, of one line or more."""
    cells: Sequence[str]
    left: bool = False
    """Whether it is words, which begin at its left edge, rather than numbers."""

    @property
    def width(self) -> int:
        """Of its widest line."""
        return max(cell_len(line) for text in (self.name, *self.cells) for line in text.split("\n"))


def open_console() -> Console:
    """A console as wide as the terminal, or PIPE columns wide where stdout is none."""
    return Console(width=None if sys.stdout.isatty() else PIPE, highlight=False)


def fitted(
    title: str, keys: Sequence[Column], columns: Sequence[Column], width: int, bold: Sequence[bool] = ()
) -> Group:
    """One table, or several of at most `width` columns that all begin with `keys`, which name the rows.

    `bold` marks rows. Keys are folded where the widest column leaves them too little room.
    """
    parts = _parts(sum(key.width + GAP for key in keys), columns, width)
    # A title of the table itself would be folded to the table's width.
    heading = Text(f"\n{title}", style="italic")
    return Group(heading, *(_table(keys, part, bold) for part in parts))


def _parts(room_of_keys: int, columns: Sequence[Column], width: int) -> list[list[Column]]:
    parts: list[list[Column]] = [[]]
    used = room_of_keys
    for column in columns:
        if parts[-1] and used + column.width + GAP > width:
            parts.append([])
            used = room_of_keys
        parts[-1].append(column)
        used += column.width + GAP
    return parts


def _table(keys: Sequence[Column], columns: Sequence[Column], bold: Sequence[bool]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in (*keys, *columns):
        whole = column not in keys
        justify = "left" if column.left else "right"
        table.add_column(Text(column.name), justify=justify, no_wrap=whole, overflow="fold")
    rows = zip(*(column.cells for column in (*keys, *columns)), strict=True)
    for at, row in enumerate(rows):
        table.add_row(*map(Text, row), style="bold" if bold and bold[at] else None)
    return table


def print_text(console: Console, text: str) -> None:
    """Print a paragraph, its lines broken between words but never inside an interval such as [0.1, 0.2]."""
    bound = UNBROKEN.sub("\u00a0", text)  # textwrap breaks at plain blanks alone
    lines = textwrap.fill(bound, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(Text(lines.replace("\u00a0", " ")), soft_wrap=True)
