"""What the trainer tells of a run's course, to any number of listeners."""

from typing import Protocol

from .state import Progress


class TrainingListener(Protocol):
    """Told where a run could be stopped and resumed."""

    def epoch_ended(self, progress: Progress) -> None:
        """An epoch has ended: `progress.epoch` of `progress.task`."""
        ...

    def stopped(self, progress: Progress) -> None:
        """The run is about to stop as it was asked to, after `progress.step` steps of an epoch."""
        ...

    def task_ended(self, progress: Progress) -> None:
        """A task has ended and was tested; `progress.task` is the next one, `progress.epoch` 0."""
        ...
