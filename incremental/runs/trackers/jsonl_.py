"""JSON Lines: one event a line, in log.jsonl of the run's folder. Needs nothing.

    {"event": "epoch", "time": "2026-01-31T12:00:00Z", "seed": 0, "task": 2, "epoch": 3, "loss": {...}, ...}

Events are `begins`, `epoch`, `task`, `stopped`, `ends`; `task` and `epoch` say where the run stands. Figures are in
percent, `seconds` those of the run so far over all sessions.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ....errors import InputError
from ....files import appended, written_aside
from ...learning.state import Progress
from ...results.metrics import FIGURES
from ..listeners import Listener, StartedRun
from ..outcome import outcome_of
from .scalars import NO_TERMS, settings_of

LOG = "log.jsonl"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class JsonLines(Listener):
    """Writes log.jsonl. A resumed run goes on in it: what a killed session wrote after its last saved state is taken
    back first, so that no event is there twice."""

    def __init__(self, clock: Callable[[], str] = now) -> None:
        self.clock = clock

    def run_begins(self, run: StartedRun, progress: Progress) -> None:
        """Settings, and where the run goes on from."""
        path = run.folder / LOG
        kept = _up_to(path, progress)
        with written_aside(path) as stream:
            stream.writelines(f"{line}\n" for line in kept)
        resumed = progress.task > 1 or progress.epoch > 0
        self._write(run, "begins", progress, {"resumed": resumed, "settings": settings_of(run)})

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        """Loss terms and validation accuracy."""
        line = progress.history[-1]
        loss = {name: value for name, value in line.items() if name not in NO_TERMS}
        more = {name: line[name] for name in ("validation_accuracy",) if name in line}
        self._write(run, "epoch", progress, {"loss": loss, **more, "seconds": progress.seconds})

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        """How the run does now."""
        found = asdict(outcome_of(run.table, progress))
        task = progress.task - 1
        took = run.length(task, progress)
        self._write(run, "task", progress, {**found, "seconds": progress.seconds}, task=task, epoch=took)

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        """Where it stands."""
        self._write(run, "stopped", progress, {"seconds": progress.seconds})

    def run_ended(self, run: StartedRun, metrics: Mapping[str, Any]) -> None:
        """Every figure."""
        figures = {name: metrics.get(name) for name in FIGURES}
        *_, last = metrics.get("epochs_by_task") or [run.epochs]
        self._write(run, "ends", Progress(task=len(run.table.tasks), epoch=last), figures)

    def _write(self, run: StartedRun, event: str, progress: Progress, values: Mapping[str, Any], **place: int) -> None:
        where = {"task": progress.task, "epoch": progress.epoch} | place
        line = {"event": event, "time": self.clock(), "seed": run.config.seed, **where, **values}
        path = run.folder / LOG
        if not appended(path, json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n", make=True):
            raise InputError(f"{path} cannot be added to")


def _up_to(path: Path, progress: Progress) -> list[str]:
    """The lines of a log that were written by the time of a state; a last one that a kill has cut is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    kept = []
    for line in lines:
        try:
            entry = json.loads(line)
            place = (int(entry["task"]), int(entry["epoch"]))
            learnt = entry["event"] == "task"
        except (ValueError, KeyError, TypeError):
            continue
        if place[0] < progress.task or (place <= (progress.task, progress.epoch) and not learnt):
            kept.append(line)
    return kept
