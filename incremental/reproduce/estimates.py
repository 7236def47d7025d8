"""How long runs will take, told from finished runs of the same kind and from nothing else."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..config import OFF
from ..results.collect import FinishedRun
from ..results.files import METRICS, config_of, metrics_of
from ..runs.problem import tasks_of
from .plan import PlannedRun


class Estimates:
    """Seconds of runs by kind: method, modality, tasks and what shortens the work, in proportion to the epochs."""

    def __init__(self, runs: Iterable[FinishedRun] = ()) -> None:
        self._seconds: dict[str, list[float]] = {}
        for run in runs:
            config, tasks = run.content["run"], run.content["provenance"].get("tasks", [])
            key = _key(config["method"], config.get("modality", ""), tasks, config)
            epochs = max(int(config.get("epochs") or 1), 1)
            self._seconds.setdefault(key, []).append(run.metrics["seconds"] / epochs)

    @classmethod
    def below(cls, folder: Path) -> "Estimates":
        """From the finished runs in a folder, which may not be there; one that cannot be read tells nothing."""
        found = []
        for path in sorted(file.parent for file in folder.rglob(METRICS)):
            with contextlib.suppress(InputError):
                found.append(FinishedRun(path, config_of(path), metrics_of(path)))
        return cls(found)

    def add(self, run: PlannedRun, seconds: float) -> None:
        """Take in a run that has just ended."""
        self._seconds.setdefault(_key_of(run), []).append(seconds / run.configured.config.epochs)

    def seconds(self, run: PlannedRun) -> float | None:
        """Of a run; None where no run of its kind has been finished."""
        known = self._seconds.get(_key_of(run))
        return None if not known else sum(known) / len(known) * run.configured.config.epochs


def _key_of(run: PlannedRun) -> str:
    config = run.configured.config
    return _key(config.method, config.modality, tasks_of(config, run.configured.problem.manifest), vars(config))


def _key(method: str, modality: str, tasks: object, config: Mapping[str, Any]) -> str:
    return json.dumps([method, modality, tasks, [config.get(name, off) for name, off in OFF.items()]])
