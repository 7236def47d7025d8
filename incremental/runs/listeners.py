"""Listeners: told of the course of a run, or of several, and free to do with it what they like.

The screen, the keeper of a run's state and trackers are listeners. One listener may hear several runs one after the
other; every event names its run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import one_line, say
from ..config import RunConfig
from ..data.tasks import ClipTable
from ..learning.method import Way
from ..learning.state import Progress


@dataclass(frozen=True)
class StartedRun:
    """The run that an event belongs to."""

    config: RunConfig
    settings: Any
    """The method's own settings."""
    way: Way
    """How the method learns; one that is solved has no epochs."""
    folder: Path
    table: ClipTable

    @property
    def epochs(self) -> int:
        """Epochs a task."""
        return self.config.epochs if self.way == "gradient" else 0

    @property
    def ends_early(self) -> bool:
        """Whether a task may take fewer epochs than that."""
        return bool(self.epochs) and self.config.patience is not None

    def length(self, task: int, progress: Progress) -> int:
        """Epochs that the task numbered `task`, which has ended, took; 0 where it was solved."""
        return progress.epochs_by_task().get(task, self.epochs) if self.ends_early else self.epochs

    def done(self, progress: Progress) -> int:
        """Epochs that are done of all tasks; tasks, of a run that is solved."""
        return self._done_before(progress) + progress.epoch

    def total(self, progress: Progress) -> int:
        """`done` when the run is at its end, at most."""
        return self._done_before(progress) + max(self.epochs, 1) * (len(self.table.tasks) + 1 - progress.task)

    def _done_before(self, progress: Progress) -> int:
        """Epochs of the tasks that have ended."""
        if not self.ends_early:
            return (progress.task - 1) * max(self.epochs, 1)
        took = progress.epochs_by_task()
        return sum(took.get(task, self.epochs) for task in range(1, progress.task))


class Listener:
    """Base of listeners: a subclass overrides the events it wants.

    One that is given to `run` and raises an exception is told of, and dropped; the run goes on (`Guarded`).
    """

    def run_begins(self, run: StartedRun, progress: Progress) -> None:
        """Before anything is learnt; `progress` is where an earlier session left the run, or its beginning."""

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        """`progress.epoch` of `progress.task` has ended; `progress.history[-1]` has its loss terms."""

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        """The run is about to stop as it was asked to, after `progress.step` steps of an epoch."""

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        """The task before `progress.task` has been learnt and tested; `progress.predictions[-1]` are its scores."""

    def run_ended(self, run: StartedRun, metrics: Mapping[str, Any]) -> None:
        """All results are written; `metrics` is the content of metrics.json."""


class Guarded(Listener):
    """A listener whose failure does not end the run: it is told of in one line, once, and hears nothing more.

    A tracker whose server is gone at three in the morning is not worth a night's training. What is raised to end a
    program (KeyboardInterrupt, SystemExit) ends it as ever.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener: Listener | None = listener

    def run_begins(self, run: StartedRun, progress: Progress) -> None:
        """As the listener's own."""
        self._tell("run_begins", run, progress)

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        """As the listener's own."""
        self._tell("epoch_ended", run, progress)

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        """As the listener's own."""
        self._tell("stopped", run, progress)

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        """As the listener's own."""
        self._tell("task_ended", run, progress)

    def run_ended(self, run: StartedRun, metrics: Mapping[str, Any]) -> None:
        """As the listener's own."""
        self._tell("run_ended", run, metrics)

    def _tell(self, event: str, run: StartedRun, of: Any) -> None:
        if self.listener is None:
            return
        try:
            getattr(self.listener, event)(run, of)
        except Exception as error:  # noqa: BLE001 - whatever a listener of one's own may raise
            name = type(self.listener).__name__
            self.listener = None
            say(
                f"warning: the listener {name} failed in {event} and is told nothing more, the run goes on: "
                f"{type(error).__name__}: {one_line(error)}",
                err=True,
            )


class Course:
    """One run, told to listeners that may hear others too (`learning.events.TrainingListener`)."""

    def __init__(self, run: StartedRun, listeners: Sequence[Listener]) -> None:
        self.run = run
        self.listeners = tuple(listeners)

    def begins(self, progress: Progress) -> None:
        """The run begins or is resumed."""
        for listener in self.listeners:
            listener.run_begins(self.run, progress)

    def epoch_ended(self, progress: Progress) -> None:
        """An epoch has ended."""
        for listener in self.listeners:
            listener.epoch_ended(self.run, progress)

    def stopped(self, progress: Progress) -> None:
        """The run stops."""
        for listener in self.listeners:
            listener.stopped(self.run, progress)

    def task_ended(self, progress: Progress) -> None:
        """A task has ended."""
        for listener in self.listeners:
            listener.task_ended(self.run, progress)

    def ended(self, metrics: Mapping[str, Any]) -> None:
        """The run has ended."""
        for listener in self.listeners:
            listener.run_ended(self.run, metrics)
