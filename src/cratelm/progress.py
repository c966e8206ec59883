"""Progress on stderr: what is being done, how far it is, and anything that a person should be told once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Bar:
    """One line of work under way."""

    def __init__(self, bars: Bars, task: TaskID, done: float) -> None:
        self._bars, self._task, self._done, self._first, self._began = bars, task, done, done, time.monotonic()

    def advance(self, steps: float = 1, note: str = "", tokens: int = 0) -> None:
        """Go on by so many steps of `tokens` tokens each; `note` stands at the end of the line."""
        self._done += steps
        if tokens:
            speed = (self._done - self._first) * tokens / max(time.monotonic() - self._began, 1e-9)
            note = f"{speed:,.0f} tokens/s {note}"
        self._bars.update(self._task, advance=steps, note=note)


class Progress:
    """Bars on a terminal; on anything else one plain line for each task begun. Use it as a context."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """Tell the person something, once, above the bars."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, description: str, total: float | None = None, done: float = 0) -> Iterator[Bar]:
        """A line for one piece of work, gone when it ends."""
        if not self._console.is_terminal:
            self.say(description)
        task = self._bars.add_task(description, total=total, completed=int(done), note="")
        try:
            yield Bar(self._bars, task, done)
        finally:
            self._bars.remove_task(task)
