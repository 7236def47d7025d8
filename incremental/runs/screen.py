"""How far a run is: a bar on a terminal, a line a task in a log file."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ...errors import say, shown
from ..learning import state
from .listeners import Listener, StartedRun


class Screen(Listener):
    """Shows the progress of one run, or of several with their seeds; a context manager."""

    def __init__(self, *, several: bool = False) -> None:
        self.several = several
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not sys.stderr.isatty(),
        )
        self.total = self.bar.add_task("", total=None)

    def __enter__(self) -> "Screen":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def run_begins(self, run: StartedRun, progress: state.Progress) -> None:
        """A fresh bar, and a word on what an earlier session had done."""
        done = (progress.task - 1) * run.epochs + progress.epoch
        self.bar.reset(self.total, total=run.epochs * len(run.table.tasks), completed=done)
        if progress.task > 1 or progress.epoch:
            learnt = f"{done} epochs" if run.epochs else f"{progress.task - 1} tasks"
            self._say(run, f"resuming after {learnt} of an earlier session")

    def epoch_ended(self, run: StartedRun, progress: state.Progress) -> None:
        """The bar moves, with the validation accuracy."""
        done = (progress.task - 1) * run.epochs + progress.epoch
        accuracy = progress.history[-1].get("validation_accuracy")
        shown = "" if accuracy is None else f", validation {accuracy:.1f}%"
        description = f"{self._name(run)}task {progress.task}/{len(run.table.tasks)}{shown}"
        self.bar.update(self.total, completed=done, description=description)

    def task_ended(self, run: StartedRun, progress: state.Progress) -> None:
        """A line."""
        clips, scores = progress.predictions[-1]
        how = f"epoch {progress.chosen_epochs[-1]} chosen" if run.epochs else "solved"
        self._say(
            run,
            f"task {progress.task - 1}/{len(run.table.tasks)}: {how}, "
            f"tested on {len(clips)} clips of {scores.shape[1]} classes, {progress.seconds:.1f} s so far",
        )

    def run_ended(self, run: StartedRun, metrics: Mapping[str, Any]) -> None:
        """The bar is full."""
        self.bar.update(self.total, completed=run.epochs * len(run.table.tasks))

    def _name(self, run: StartedRun) -> str:
        return f"seed {run.config.seed}, " if self.several else ""

    def _say(self, run: StartedRun, words: str) -> None:
        """A line above the bar."""
        line = self._name(run) + words
        if self.bar.disable:
            say(line)
        else:
            self.bar.console.print(Text(shown(line)))
