"""Steps of curves: an epoch each, counted over all tasks, however long these were."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from avcil.incremental.runs.experiment import run_once
from avcil.incremental.runs.listeners import StartedRun
from avcil.incremental.runs.trackers.scalars import ScalarTracker
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made

pytestmark = pytest.mark.usefixtures("one_thread")


class Told(ScalarTracker):
    """Writes down at which step it was told what."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, str]] = []

    def begin(self, run: StartedRun, step: int) -> None:
        self.steps.append((step, "begins"))

    def tell(self, step: int, values: Mapping[str, float]) -> None:
        kind = next(kind for kind in ("loss", "test", "final") if any(name.startswith(kind) for name in values))
        self.steps.append((step, kind))

    def end(self, *, finished: bool) -> None:
        assert finished


@pytest.mark.parametrize("patience", [None, 1])
def test_a_step_is_an_epoch_that_was_done(made: Made, tmp_path: Path, patience: int | None):
    told = Told()
    metrics = run_once(*synthetic.prepare(made, "av-cil", epochs=6, patience=patience), tmp_path / "out", [told])
    took = metrics.get("epochs_by_task", [6, 6, 6])
    assert (min(took) < 6) == (patience is not None)
    expected, step = [(0, "begins")], 0
    for count in took:
        expected += [(step + epoch, "loss") for epoch in range(1, count + 1)]
        step += count
        expected.append((step, "test"))
    assert told.steps == [*expected, (step, "final")]


def test_a_run_that_is_solved_has_a_step_a_task(made: Made, tmp_path: Path):
    told = Told()
    run_once(*synthetic.prepare(made, "ridge"), tmp_path / "out", [told])
    assert told.steps == [(0, "begins"), (1, "test"), (2, "test"), (3, "test"), (3, "final")]
