"""How far a run is: a bar on a terminal, a line a task in a log file."""

import sys
from types import TracebackType

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..learning import state


class RunProgress:
    """Shows a run's progress; a context manager whose `report` the trainer calls after epochs and tasks."""

    def __init__(self, epochs: int, tasks: int) -> None:
        self.epochs = epochs
        self.tasks = tasks
        self.seed: int | None = None
        self.seen: set[int | None] = set()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not sys.stderr.isatty(),
        )
        self.total = self.bar.add_task("", total=epochs * tasks)

    def __enter__(self) -> "RunProgress":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def report(self, progress: state.Progress) -> None:
        """Called after every epoch, and once more with epoch 0 after every task."""
        if self.seed not in self.seen:
            self.seen.add(self.seed)
            if len(progress.history) > 1:
                self._say(f"going on after {len(progress.history) - 1} epochs of an earlier sitting")
        if progress.epoch:
            done = (progress.task - 1) * self.epochs + progress.epoch
            accuracy = progress.history[-1].get("validation_accuracy")
            shown = "" if accuracy is None else f", validation {accuracy:.1f}%"
            description = f"{self._name}task {progress.task}/{self.tasks}{shown}"
            self.bar.update(self.total, completed=done, description=description)
            return
        clips, scores = progress.predictions[-1]
        self._say(
            f"task {progress.task - 1}/{self.tasks}: epoch {progress.chosen_epochs[-1]} chosen, "
            f"tested on {len(clips)} clips of {scores.shape[1]} classes, {progress.seconds:.1f} s so far"
        )

    @property
    def _name(self) -> str:
        return "" if self.seed is None else f"seed {self.seed}, "

    def _say(self, words: str) -> None:
        """A line above the bar."""
        line = self._name + words
        if self.bar.disable:
            click.echo(line)
        else:
            self.bar.console.print(line)

    def report_seed(self, seed: int, progress: state.Progress) -> None:
        """The same for one of several seeds."""
        self.seed = seed
        self.report(progress)
