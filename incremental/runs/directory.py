"""A run's folder: configuration first, a state to go on from while it lasts, results at the end.

config.json               the whole configuration and where it came from; repeats the run (--config)
state.pt                  only while the run is unfinished: what it goes on from
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
from ...files import PART_SUFFIX, read_json, write_json
from ..data.tasks import ClipTable
from ..learning.state import Progress
from ..results.files import CONFIG, METRICS, content_of
from ..results.metrics import class_accuracies, confusion_matrix
from .outcome import predictions_of

STATE = "state.pt"

UNCHANGED = {
    "cache_fingerprint": "features made in another way",
    "clips_sha256": "another list of clips (the manifest or the cache has changed)",
    "tasks": "other tasks",
    "plugins": "another version of a plugin",
}
"""Entries of the provenance that must be as they were for a run to go on, and what to say if they are not."""


class RunDirectory:
    """One run's folder, made for it or found with the same configuration."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        """InputError where `path` belongs to another configuration or holds something else."""
        self.path = path
        if (path / CONFIG).is_file():
            there, here = _flat(content_of(path / CONFIG, "run")), _flat(config)
            for name, value in here.items():
                if there.get(name) != value:
                    raise InputError(
                        f"{path} holds a run with {name} = {there.get(name)!r}, not {value!r}; choose another --out"
                    )
        elif path.exists() and any(not file.name.endswith(PART_SUFFIX) for file in path.iterdir()):
            raise InputError(f"{path} is not empty and holds no run; choose another --out")
        self.config = dict(config)

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / METRICS).is_file()

    def metrics(self) -> dict[str, Any]:
        """The results of a finished run."""
        metrics: dict[str, Any] = read_json(self.path / METRICS)
        return metrics

    def begin(self, provenance: Mapping[str, Any]) -> None:
        """Write the configuration, before anything else.

        InputError where an unfinished run began with other clips or features: its state counts clips by number.
        """
        if (self.path / STATE).is_file():
            there = content_of(self.path / CONFIG, "provenance")
            for name, words in UNCHANGED.items():
                if there.get(name) != provenance.get(name):
                    raise InputError(f"{self.path} holds a run that began with {words}; choose another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path} cannot be made ({error.strerror}); choose another --out") from error
        write_json(self.path / CONFIG, {"run": self.config, "provenance": dict(provenance)})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it, no other process may run here; InputError where one does."""
        try:
            with filelock.FileLock(self.path / ".lock", timeout=0):
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
        """Write what the run goes on from; after a task, its weights as well."""
        if progress.epoch == 0 and progress.finished is not None:
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
        pd.DataFrame(progress.history).to_csv(self.path / "history.csv", index=False)
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


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration with the method's settings beside its own fields."""
    settings = {f"settings.{name}": value for name, value in config.get("settings", {}).items()}
    return {name: value for name, value in config.items() if name != "settings"} | settings


class Keeper:
    """Keeps the state of a run after every task, and after an epoch where the last time is long enough ago."""

    def __init__(self, directory: RunDirectory, seconds: float) -> None:
        self.directory = directory
        self.seconds = seconds
        self.last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Called by the trainer wherever the run could be gone on with."""
        if progress.epoch == 0 or time.monotonic() - self.last >= self.seconds:
            self.directory.keep(progress)
            self.last = time.monotonic()
