"""A small run told to a tracker, killed in its second task and resumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.experiment import run_once
from avcil.incremental.runs.listeners import Listener
from avcil.incremental.runs.trackers import trackers
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made, Reporter


class KilledError(Exception):
    """In the place of a kill."""


def resumed(made: Made, out: Path, name: str, method: str = "av-cil") -> Mapping[str, Any]:
    """metrics.json of a run of 3 tasks of 2 epochs, killed after epoch 1 of task 2, saved at the end of task 1."""

    def kill(seed: int, progress: Progress) -> None:
        if (progress.task, progress.epoch) == (2, 1):
            raise KilledError

    prepared = synthetic.prepare(made, method, checkpoint_seconds=1e6)
    with pytest.raises(KilledError):
        run_once(*prepared, out, [*trackers([name]), Reporter(kill)])
    return run_once(*prepared, out, trackers([name]))


def whole(made: Made, out: Path, name: str, method: str = "av-cil") -> Mapping[str, Any]:
    """The same without a break."""
    listeners: list[Listener] = trackers([name])
    return run_once(*synthetic.prepare(made, method, checkpoint_seconds=1e6), out, listeners)
