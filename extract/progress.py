"""How far a run is: a bar on a terminal, a plain line now and then in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from ..wording import duration

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def checking(shards: int, console: Console) -> Iterator[Callable[[str], None]]:
    """A bar for the checking of so many shards of a cache; what it gives is called as each is done."""
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("verifying", total=shards)
        yield lambda _: bar.advance(task)


class ExtractionProgress:
    """A context manager; `step` is called as clips are done.

    Args:
        total: clips to do.
        console: where to show it.
        every: seconds between two lines where the console is no terminal.
    """

    def __init__(self, total: int, console: Console, *, every: float = SECONDS_BETWEEN_LINES) -> None:
        self._total, self._console, self._every = total, console, every
        self._encoded = self._quarantined = 0
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("extracting"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task("starting", total=total)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, *, encoded: int = 0, quarantined: int = 0) -> None:
        """Count clips that are done."""
        self._encoded += encoded
        self._quarantined += quarantined
        done = self._encoded + self._quarantined
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=self._words(now))
        elif now - self._last_line >= self._every or done == self._total:
            self._last_line = now
            self._console.print(Text(f"{done} of {self._total} clips, {self._words(now)}"))

    def _words(self, now: float) -> str:
        done = self._encoded + self._quarantined
        rate = done / max(now - self._started, 1e-9)
        left = (self._total - done) / rate if rate > 0 else 0.0
        return f"{rate:.3g} clips/s, {duration(left)} left, {self._quarantined} quarantined"
