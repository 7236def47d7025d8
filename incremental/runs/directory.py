"""A run's folder: configuration first, a state to resume from while it lasts, results at the end.

config.json               the whole configuration and where it came from; repeats the run (--config)
state.pt                  only while the run is unfinished: what it resumes from
weights/task-01.safetensors ...   the method's chosen weights after each task
memory/task-01.csv ...    exemplar memory after each task: label, place, video_id
history.csv               a line an epoch: loss terms, validation accuracy
predictions.csv           after_task, video_id, label, predicted: every test clip after every task
scores.safetensors        the scores (n, C) behind them, a tensor for each task
class_accuracy.csv, confusion_matrix.csv    after the last task
.lock                     held by the process that runs here
metrics.json              written last: its presence says that the run is finished
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from ...errors import InputError
from ...files import PART_SUFFIX, write_json
from ..data.tasks import ClipTable
from ..learning.state import Progress
from ..results.cause import other_facts, other_settings
from ..results.files import CONFIG, METRICS, config_of, metrics_of
from ..results.metrics import class_accuracies, confusion_matrix
from .listeners import Listener, StartedRun
from .outcome import predictions_of

STATE = "state.pt"
LOCK = ".lock"


class RunDirectory:
    """One run's folder, made for it or found with a run of the same cause."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        """`config` is `as_plain`'s. InputError where `path` holds a run with other settings or something else."""
        self.path = path
        self.config = dict(config)
        if (path / CONFIG).is_file():
            there = config_of(path)
            here = {"run": self.config, "provenance": {"way": there["provenance"].get("way", "gradient")}}
            self._refuse(other_settings(here, there))
        elif path.exists() and any(
            file.name != LOCK and not file.name.endswith(PART_SUFFIX) for file in path.iterdir()
        ):
            raise InputError(f"{path} is not empty and holds no run; choose another --out")

    def _refuse(self, difference: str | None) -> None:
        if difference is not None:
            raise InputError(f"{self.path} holds a run with {difference}; choose another --out")

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / METRICS).is_file()

    def metrics(self) -> dict[str, Any]:
        """The results of a finished run."""
        return metrics_of(self.path)

    def check(self, provenance: Mapping[str, Any]) -> None:
        """InputError where the run there, finished or not, learnt from other clips, labels, features or plugins."""
        if self.finished or (self.path / STATE).is_file():
            here = {"run": self.config, "provenance": provenance}
            self._refuse(other_facts(here, config_of(self.path)))

    def begin(self, provenance: Mapping[str, Any]) -> None:
        """Write the configuration, before anything else; to be called while `alone`."""
        self.check(provenance)
        write_json(self.path / CONFIG, {"run": self.config, "provenance": dict(provenance)})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it, no other process may run here; InputError where one does or the folder cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path} cannot be made ({error.strerror}); choose another --out") from error
        try:
            with filelock.FileLock(self.path / LOCK, timeout=0):
                yield
        except filelock.Timeout as error:
            raise InputError(f"another process runs in {self.path}; wait for it or choose another --out") from error

    def progress(self) -> Progress | None:
        """Where an unfinished run stands; None at its beginning."""
        state = self.path / STATE
        if not state.is_file():
            return None
        try:
            return Progress(**torch.load(state, weights_only=True, map_location="cpu"))
        except Exception as error:  # whatever bytes that are no state may lead to
            raise InputError(f"{state} is damaged: delete it to begin the run again") from error

    def keep(self, progress: Progress) -> None:
        """Write what the run resumes from; after a task, its weights as well."""
        if progress.epoch == 0 and progress.method is None and progress.finished is not None:
            weights = self.path / "weights" / f"task-{progress.task - 1:02d}.safetensors"
            weights.parent.mkdir(exist_ok=True)
            save_file({name: tensor.cpu().contiguous() for name, tensor in progress.finished.items()}, weights)
        part = self.path / f"{STATE}{PART_SUFFIX}"
        with part.open("wb") as file:
            torch.save(vars(progress), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / STATE)

    def finish(self, progress: Progress, table: ClipTable, metrics: Mapping[str, Any]) -> None:
        """Write all results, metrics last, and drop the state."""
        names = table.class_order
        columns = None if progress.history else ["task", "epoch"]
        pd.DataFrame(progress.history, columns=columns).to_csv(self.path / "history.csv", index=False)
        (self.path / "memory").mkdir(exist_ok=True)
        for number, memory in enumerate(progress.memories, start=1):
            rows = [
                (names[label], place, table.ids[clip])
                for label, clips in memory.items()
                for place, clip in enumerate(clips, start=1)
            ]
            pd.DataFrame(rows, columns=["label", "place", "video_id"]).to_csv(
                self.path / "memory" / f"task-{number:02d}.csv", index=False
            )
        after = [predictions_of(table, clips, scores) for clips, scores in progress.predictions]
        frames = [
            pd.DataFrame(
                {
                    "after_task": number,
                    "video_id": [table.ids[clip] for clip in answers.clips],
                    "label": [names[label] for label in answers.labels],
                    "predicted": [names[label] for label in answers.predicted],
                }
            )
            for number, answers in enumerate(after, start=1)
        ]
        pd.concat(frames).to_csv(self.path / "predictions.csv", index=False)
        save_file(
            {
                f"after_task_{number:02d}": scores.float().contiguous()
                for number, (_, scores) in enumerate(progress.predictions, start=1)
            },
            self.path / "scores.safetensors",
        )
        classes = len(names)
        accuracy = pd.DataFrame(
            {
                "label": names,
                "test_clips": np.bincount(after[-1].labels, minlength=classes),
                "accuracy": class_accuracies(after[-1], classes),
            }
        )
        accuracy.to_csv(self.path / "class_accuracy.csv", index=False)
        counts = confusion_matrix(after[-1], classes)
        pd.DataFrame(counts, index=pd.Index(names, name="label"), columns=names).to_csv(
            self.path / "confusion_matrix.csv"
        )
        write_json(self.path / METRICS, metrics)
        (self.path / STATE).unlink(missing_ok=True)


class Keeper(Listener):
    """Saves the state of a run after every task, and after an epoch where the last time is long enough ago."""

    def __init__(self, directory: RunDirectory, seconds: float) -> None:
        self.directory = directory
        self.seconds = seconds
        self.last = time.monotonic()

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        """Save, if it is time. The last epoch's state is saved with its task."""
        if progress.epoch < run.epochs and time.monotonic() - self.last >= self.seconds:
            self._save(progress)

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        """Save, whatever the time."""
        self._save(progress)

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        """Save, whatever the time."""
        self._save(progress)

    def _save(self, progress: Progress) -> None:
        self.directory.keep(progress)
        self.last = time.monotonic()
