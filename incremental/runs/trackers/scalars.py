"""What trackers that draw curves have in common: names of the curves, and the step that each value belongs to.

A step is an epoch, counted over all tasks; a task, for a method that is solved.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ....errors import InputError
from ....files import read_json, write_json
from ...learning.state import Progress
from ...results.metrics import FIGURES
from ..listeners import Listener, StartedRun
from ..outcome import TaskOutcome, outcome_of

REMEMBERED = "trackers.json"
"""In a run's folder: under which id each tracker knows the run, so that a resumed run goes on there."""

NO_TERMS = ("task", "epoch", "validation_accuracy")
"""Entries of a line of the history that are no loss terms."""


def step_of(run: StartedRun, progress: Progress) -> int:
    """How many epochs are done, or tasks of a run that is solved."""
    return run.done(progress)


def of_epoch(progress: Progress) -> dict[str, float]:
    """The curves' values of the epoch that ended last: loss terms, their sum, validation accuracy in percent."""
    line = progress.history[-1]
    terms = {name: float(value) for name, value in line.items() if name not in NO_TERMS}
    found = {"task": float(progress.task), "seconds": progress.seconds, "loss/sum": sum(terms.values())}
    found |= {f"loss/{name}": value for name, value in terms.items()}
    accuracy = line.get("validation_accuracy")
    return found | ({} if accuracy is None else {"validation/accuracy": float(accuracy)})


def of_task(outcome: TaskOutcome, progress: Progress) -> dict[str, float]:
    """The curves' values after a task, in percent."""
    found = {"test/accuracy": outcome.test, "test/new": outcome.new, "seconds": progress.seconds}
    if outcome.old is not None and outcome.forgetting is not None:
        found |= {"test/old": outcome.old, "test/forgetting": outcome.forgetting}
    return found


def of_run(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Every figure of a finished run, in percent."""
    return {f"final/{name}": float(metrics[name]) for name in FIGURES if metrics.get(name) is not None}


def settings_of(run: StartedRun) -> dict[str, Any]:
    """Every setting of a run by name, the method's own too."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(run.config) | asdict(run.settings)))
    return plain


def name_of(run: StartedRun) -> str:
    """What a run is called where it stands beside others."""
    return f"{run.config.method}, seed {run.config.seed}"


def remembered(folder: Path, tracker: str) -> str | None:
    """The id under which a tracker knows the run of a folder; None where it does not yet, or nobody can tell."""
    try:
        known = read_json(folder / REMEMBERED)
    except InputError:
        return None
    found = known.get(tracker) if isinstance(known, dict) else None
    return found if isinstance(found, str) else None


def remember(folder: Path, tracker: str, identity: str) -> None:
    """Keep the id for a resumed run. InputError where it cannot be written."""
    try:
        known = read_json(folder / REMEMBERED)
    except InputError:
        known = {}
    write_json(folder / REMEMBERED, (known if isinstance(known, dict) else {}) | {tracker: identity})


class ScalarTracker(Listener, ABC):
    """Base of trackers that take named numbers at steps: a subclass says how one is opened, told and closed."""

    def run_begins(self, run: StartedRun, progress: Progress) -> None:
        """Open it."""
        self.begin(run, step_of(run, progress))

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        """Loss terms and validation accuracy."""
        self.tell(step_of(run, progress), of_epoch(progress))

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        """Accuracy on the test clips of new and old classes, and forgetting."""
        self.tell(step_of(run, progress), of_task(outcome_of(run.table, progress), progress))

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        """Close it: the process ends."""
        self.end(finished=False)

    def run_ended(self, run: StartedRun, metrics: Mapping[str, Any]) -> None:
        """Every figure, then close it."""
        took = metrics.get("epochs_by_task") or [max(run.epochs, 1)] * len(run.table.tasks)
        self.tell(sum(took), of_run(metrics))
        self.end(finished=True)

    @abstractmethod
    def begin(self, run: StartedRun, step: int) -> None:
        """Open what the run is told to; steps up to `step` have been told by an earlier session."""

    @abstractmethod
    def tell(self, step: int, values: Mapping[str, float]) -> None:
        """Values by name at a step."""

    @abstractmethod
    def end(self, *, finished: bool) -> None:
        """Close it; `finished` unless the run is to be resumed."""
