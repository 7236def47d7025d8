"""A run's folder: configuration first, a state to resume from while it lasts, results at the end.

config.json               the whole configuration and where it came from; repeats the run (--config)
state.pt                  only while the run is unfinished: what it resumes from
weights/task-01.safetensors ...   the method's chosen weights after each task
memory/task-01.csv ...    exemplar memory after each task: label, place, video_id
history.csv               a line an epoch: loss terms, validation accuracy; grows while the run lasts
predictions.csv           after_task, video_id, label, predicted: every test clip after every task
scores.safetensors        the scores (n, C) behind them, a tensor for each task
class_accuracy.csv, confusion_matrix.csv    after the last task
.lock                     held by the process that runs here
metrics.json              written last: its presence says that the run is finished
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import save

from ...errors import InputError
from ...files import cannot_write, leftovers, locked, sha256_of, write_json, written_aside
from ..data.tasks import ClipTable
from ..learning.state import Progress
from ..results.cause import other_facts, other_settings
from ..results.files import CONFIG, HISTORY, LOCK, METRICS, busy_words, check_free, config_of, metrics_of
from ..results.metrics import class_accuracies, confusion_matrix
from .listeners import Listener, StartedRun
from .outcome import predictions_of
from .state_file import read_state, write_state

if TYPE_CHECKING:
    import pandas as pd

STATE = "state.pt"
FOLDERS = ("weights", "memory")


class RunDirectory:
    """One run's folder, made for it or found with a run of the same cause."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        """`config` is `as_plain`'s. InputError where `path` holds a run with other settings or something else."""
        self.path = path
        self.config = dict(config)
        self._weights: dict[str, str] = {}
        self.left_out: tuple[str, ...] = ()
        """Beginnings of names in a method's state that are not kept among its weights."""
        if (path / CONFIG).is_file():
            there = config_of(path)
            here = {"run": self.config, "provenance": there["provenance"]}
            self._refuse(other_settings(here, there, resumed=not self.finished))
            if self.finished:  # a run killed at its very end leaves a state that nobody needs any more
                (path / STATE).unlink(missing_ok=True)
        else:
            check_free(path)

    def _refuse(self, difference: str | None) -> None:
        if difference is not None:
            unfinished = "" if self.finished else ", or delete the unfinished run"
            raise InputError(f"{self.path} holds a run with {difference}; choose another --out{unfinished}")

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
            self._refuse(other_facts(here, config_of(self.path), resumed=not self.finished))

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
        with locked(self.path / LOCK, busy_words(self.path)):
            for folder in (self.path, *(self.path / name for name in FOLDERS)):
                if folder.is_dir() and not folder.is_symlink():
                    for left in leftovers(folder):  # by a process that was killed
                        left.unlink()
            yield

    def progress(self, tasks: int) -> Progress | None:
        """Where an unfinished run of `tasks` tasks stands; None at its beginning.

        Raises InputError where the state is damaged, or a file of weights that cannot be made again.
        """
        if not (self.path / STATE).is_file():
            return None
        progress, self._weights = read_state(self.path / STATE, tasks)
        for name, digest in self._weights.items():
            path = self.path / name
            if path.is_file() and sha256_of(path) == digest:
                continue
            if name != weights_of(progress.task - 1) or progress.finished is None:
                raise InputError(f"{path} is damaged, and a resumed run does not make it again: choose another --out")
            self._write_weights(progress)
        return progress

    def keep(self, progress: Progress) -> None:
        """Write what the run resumes from; after a task, its weights as well."""
        if progress.epoch == 0 and progress.method is None and progress.finished is not None:
            self._write_weights(progress)
        write_state(self.path / STATE, progress, self._weights)

    def _write_weights(self, progress: Progress) -> None:
        assert progress.finished is not None
        name = weights_of(progress.task - 1)
        kept = {name: tensor for name, tensor in progress.finished.items() if not name.startswith(self.left_out)}
        content = save({name: tensor.cpu().contiguous() for name, tensor in kept.items()})
        with written_aside(self._folder("weights") / Path(name).name, "wb") as stream:
            stream.write(content)
        self._weights[name] = hashlib.sha256(content).hexdigest()

    def finish(self, progress: Progress, table: ClipTable, metrics: Mapping[str, Any]) -> None:
        """Write all results, metrics last, and drop the state."""
        import pandas as pd

        names = table.class_order
        columns = None if progress.history else ["task", "epoch"]
        self._write_table(HISTORY, pd.DataFrame(progress.history, columns=columns))
        for number, memory in enumerate(progress.memories, start=1):
            rows = [
                (names[label], place, table.ids[clip])
                for label, clips in memory.items()
                for place, clip in enumerate(clips, start=1)
            ]
            self._folder("memory")
            listing = pd.DataFrame(rows, columns=["label", "place", "video_id"])
            self._write_table(f"memory/task-{number:02d}.csv", listing)
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
        self._write_table("predictions.csv", pd.concat(frames))
        scores = {
            f"after_task_{number:02d}": scores.float().contiguous()
            for number, (_, scores) in enumerate(progress.predictions, start=1)
        }
        with written_aside(self.path / "scores.safetensors", "wb") as stream:
            stream.write(save(scores))
        classes = len(names)
        accuracy = pd.DataFrame(
            {
                "label": names,
                "test_clips": np.bincount(after[-1].labels, minlength=classes),
                "accuracy": class_accuracies(after[-1], classes),
            }
        )
        self._write_table("class_accuracy.csv", accuracy)
        counts = pd.DataFrame(confusion_matrix(after[-1], classes), columns=names)
        counts.insert(0, "label", names)
        self._write_table("confusion_matrix.csv", counts)
        write_json(self.path / METRICS, metrics)
        (self.path / STATE).unlink(missing_ok=True)

    def _write_table(self, name: str, table: "pd.DataFrame") -> None:
        with written_aside(self.path / name) as stream:
            table.to_csv(stream, index=False)

    def _folder(self, name: str) -> Path:
        """A folder of the run, made if need be; InputError where a link or a file stands in its place."""
        folder = self.path / name
        if folder.is_symlink():
            raise InputError(f"{folder} is a link, and nothing is written through links: remove it")
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            raise InputError(f"{folder} is a file, and a folder has to be there: move it away") from None
        except OSError as error:
            raise cannot_write(folder, error) from error
        return folder


def weights_of(task: int) -> str:
    """The file of the weights after a task, in the run's folder."""
    return f"weights/task-{task:02d}.safetensors"


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
