"""MLflow with a store in a folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from avcil.tests.incremental.synthetic import Made

from .told import resumed

pytestmark = pytest.mark.usefixtures("one_thread")
mlflow = pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")


def test_a_resumed_run_goes_on_where_it_was(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.chdir(tmp_path)
    metrics = resumed(made, tmp_path / "out", "mlflow")
    identity = json.loads((tmp_path / "out" / "trackers.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    run: Any = client.get_run(identity)
    assert run.info.status == "FINISHED"
    assert run.data.params["method"] == "av-cil"
    assert [one.step for one in client.get_metric_history(identity, "loss/sum")] == [1, 2, 3, 4, 5, 6]
    tests = [one.value for one in client.get_metric_history(identity, "test/accuracy")]
    assert tests == pytest.approx(metrics["accuracy_by_task"])
    assert run.data.metrics["final/mean_accuracy"] == pytest.approx(metrics["mean_accuracy"])
