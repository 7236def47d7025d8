"""How far a run is and how it does: a bar on a terminal, lines in a log file."""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from ...errors import say, shown
from ...wording import duration, number_of
from ..learning import state
from ..results.collect import repetition
from .listeners import Listener, StartedRun
from .outcome import outcome_of

EVERY = 30.0
"""Seconds between two lines of a log while a task is learnt; an epoch that takes longer is a line."""

COLUMNS = ("task", "epoch", "validation_accuracy")
"""Entries of a line of the history that are no loss terms."""


class Times(ProgressColumn):
    """How long a run has taken, and how long it will still take."""

    def render(self, task: Task) -> Text:
        """In words."""
        return Text(times(task.elapsed or 0.0, task.time_remaining, at_most=task.fields.get("at_most", False)))


def times(gone: float, left: float | None, *, at_most: bool = False) -> str:
    """Seconds gone, and left where that can be told; `at_most` where tasks may end early."""
    words = "at most " if at_most else ""
    return f"{duration(gone)} gone" + ("" if left is None else f", {words}{duration(left)} left")


class Screen(Listener):
    """Shows the progress of one run, or of several with their seeds and class orders; a context manager."""

    def __init__(
        self, *, several: bool = False, clock: Callable[[], float] = time.monotonic, every: float = EVERY
    ) -> None:
        """`clock` gives seconds; a log gets a line every `every` of them."""
        self.several = several
        self.clock = clock
        self.every = every
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=8),
            Times(),
            disable=not sys.stderr.isatty(),
        )
        self.total = self.bar.add_task("", total=None)
        self.began = self.said = clock()
        self.at_first = 0
        """Epochs that an earlier session had done."""
        self.seconds = 0.0
        """Of the run when its last task ended."""

    def __enter__(self) -> "Screen":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def run_begins(self, run: StartedRun, progress: state.Progress) -> None:
        """A fresh bar, and a word on what an earlier session had done."""
        self.began = self.said = self.clock()
        self.seconds = progress.seconds
        done = self.at_first = run.done(progress)
        task = min(progress.task, len(run.table.tasks))
        description = f"{self._name(run)}task {task}/{len(run.table.tasks)}"
        total = run.total(progress)
        self.bar.reset(self.total, total=total, completed=done, description=description, at_most=run.ends_early)
        if progress.task > 1 or progress.epoch:
            learnt = number_of(done, "epoch") if run.epochs else number_of(progress.task - 1, "task")
            self._say(run, f"resuming after {learnt} of an earlier session")

    def epoch_ended(self, run: StartedRun, progress: state.Progress) -> None:
        """The bar moves; a log gets a line where the last one is long enough ago."""
        line = progress.history[-1]
        losses = [value for name, value in line.items() if name not in COLUMNS]
        words = f"task {progress.task}/{len(run.table.tasks)}, epoch {progress.epoch}/{run.epochs}"
        words += f", loss {sum(losses):.3g}" if losses else ""
        accuracy = line.get("validation_accuracy")
        words += "" if accuracy is None else f", val {accuracy:z.1f} %"
        done, total = run.done(progress), run.total(progress)
        self.bar.update(self.total, completed=done, description=self._name(run) + words)
        now = self.clock()
        if self.bar.disable and now - self.said >= self.every:
            self.said = now
            gone = now - self.began
            left = gone / (done - self.at_first) * (total - done) if done > self.at_first else None
            self._say(run, f"{words}, {times(gone, left, at_most=run.ends_early)}")

    def task_ended(self, run: StartedRun, progress: state.Progress) -> None:
        """A line with how the run does now."""
        self.said = self.clock()
        found = outcome_of(run.table, progress)
        words = f"task {progress.task - 1}/{len(run.table.tasks)}: test {found.test:z.1f} %"
        if found.old is not None and found.forgetting is not None:
            words += f" (new {found.new:z.1f}, old {found.old:z.1f}), forgetting {found.forgetting:z.1f}"
        if run.epochs:
            validation = "" if found.validation is None else f" (val {found.validation:z.1f} %)"
            took = run.length(progress.task - 1, progress)
            early = "" if took == run.epochs else ", ended early"
            words += f", epoch {found.chosen_epoch} of {took}{validation}{early}"
        else:
            words += ", solved"
        taken, self.seconds = progress.seconds - self.seconds, progress.seconds
        self._say(run, f"{words}, {duration(taken)}")
        self.bar.update(self.total, completed=run.done(progress), total=run.total(progress))

    def run_ended(self, run: StartedRun, metrics: Mapping[str, Any]) -> None:
        """The bar is full."""
        self.bar.update(self.total, completed=self.bar.tasks[0].total)

    def _name(self, run: StartedRun) -> str:
        return f"{repetition(run.config.class_order_seed, run.config.seed)}, " if self.several else ""

    def _say(self, run: StartedRun, words: str) -> None:
        """A line above the bar."""
        line = self._name(run) + words
        if self.bar.disable:
            say(line)
        else:
            self.bar.console.print(Text(shown(line)))
