"""Event files as TensorBoard itself reads them."""

from pathlib import Path

import pytest
from avcil.tests.incremental.synthetic import Made

from .told import resumed, whole

pytestmark = pytest.mark.usefixtures("one_thread")
accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = accumulator.EventAccumulator(str(folder / "tensorboard"), purge_orphaned_data=True)
    found.Reload()
    return {name: [(one.step, one.value) for one in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_curves_by_epoch_and_task_and_each_step_once_however_often_a_run_is_resumed(made: Made, tmp_path: Path):
    metrics = whole(made, tmp_path / "whole", "tensorboard")
    found = curves(tmp_path / "whole")
    assert [step for step, _ in found["loss/sum"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in found["test/accuracy"]] == [2, 4, 6]
    assert [value for _, value in found["test/accuracy"]] == pytest.approx(metrics["accuracy_by_task"], rel=1e-6)
    ((step, final),) = found["final/mean_accuracy"]
    assert step == 6
    assert final == pytest.approx(metrics["mean_accuracy"], rel=1e-6)
    resumed(made, tmp_path / "resumed", "tensorboard")
    again = curves(tmp_path / "resumed")
    for curve in (found, again):
        curve.pop("seconds")
    assert again == found


def test_a_method_that_is_solved(made: Made, tmp_path: Path):
    whole(made, tmp_path / "out", "tensorboard", "ridge")
    assert [step for step, _ in curves(tmp_path / "out")["test/new"]] == [1, 2, 3]
