"""Progress on stderr: what is being done, how far it is, and anything that a person should be told once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text


class _IfCounted(ProgressColumn):
    """A column of work whose length is known, and nothing of other work: rich would write 0/? and -:--:--."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        """As the column does."""
        return Text() if task.total is None else self._column(task)


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
    """Bars on a terminal; on anything else one plain line for each task begun. Use it as a context.

    A finished stage leaves a line either way.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._stages, self._finished = 0, set[str]()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            _IfCounted(MofNCompleteColumn()),
            TimeElapsedColumn(),
            _IfCounted(TimeRemainingColumn()),
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

    def expect(self, stages: int) -> None:
        """Say of how many stages those are that will finish."""
        self._stages = stages

    @contextmanager
    def stage(self, name: str, there: bool = False) -> Iterator[None]:
        """A stage, by what has been done when it ends: `trained crate`. One that is `there` already is only counted."""
        began = time.monotonic()
        yield
        self.finish(name, None if there else time.monotonic() - began)

    def finish(self, name: str, seconds: float | None) -> None:
        """Count a stage, once, and leave a line that says how long it took; None for one that took no time."""
        if name in self._finished:
            return
        self._finished.add(name)
        if seconds is not None:
            share = f" ({len(self._finished)} of {self._stages} stages)" if self._stages else ""
            self.say(f"{name}, {duration(seconds)}{share}")

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


def duration(seconds: float) -> str:
    """Seconds as a person says them, by the two largest units: `5 min 12 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "under 1 s"
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"
