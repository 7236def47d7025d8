"""MLflow: a run of experiment `avcil` for each run, where MLFLOW_TRACKING_URI says (a server, or a local store)."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from ..listeners import StartedRun
from .scalars import ScalarTracker, name_of, remember, remembered, settings_of

LONGEST = 6000
"""Characters of a parameter's value that MLflow takes."""


class MLflow(ScalarTracker):
    """Tells MLflow. A resumed run goes on under its id, which stands in trackers.json of the run's folder, from the
    first step that MLflow has not been told."""

    def __init__(self) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        self._client = MlflowClient()
        self._metric, self._param, self._refused = Metric, Param, MlflowException
        self._id = ""
        self._told: dict[str, int] = {}
        """The last step that MLflow had of each curve when this session began."""

    def begin(self, run: StartedRun, step: int) -> None:
        """A run of MLflow's, or the one there is."""
        known = remembered(run.folder, "mlflow")
        self._told = {}
        if known is not None and self._known(known):
            self._id = known
            self._client.update_run(known, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "avcil")
        experiment = self._client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment is not None else self._client.create_experiment(name)
        self._id = self._client.create_run(place, run_name=name_of(run), tags={"folder": str(run.folder)}).info.run_id
        remember(run.folder, "mlflow", self._id)
        settings = settings_of(run).items()
        params = [self._param(name, _words(value)) for name, value in settings]
        self._client.log_batch(self._id, params=params)

    def _known(self, identity: str) -> bool:
        """Whether MLflow still has the run; what it has been told of it is then noted."""
        try:
            found = self._client.get_run(identity)
        except self._refused:
            return False
        for name in found.data.metrics:
            self._told[name] = max(one.step for one in self._client.get_metric_history(identity, name))
        return True

    def tell(self, step: int, values: Mapping[str, float]) -> None:
        """Those that it has not been told."""
        now = int(time.time() * 1000)
        new = [self._metric(name, one, now, step) for name, one in values.items() if step > self._told.get(name, -1)]
        if new:
            self._client.log_batch(self._id, metrics=new)

    def end(self, *, finished: bool) -> None:
        """Say that it has ended."""
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")


def _words(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST]
