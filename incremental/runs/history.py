"""history.csv while a run lasts: a line an epoch as soon as it has ended, so that a run can be watched by its file.

At the end `RunDirectory.finish` writes the whole file once more.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import appended, written_aside
from ..learning.state import Progress
from ..results.files import HISTORY
from .listeners import Listener, StartedRun


class HistoryFile(Listener):
    """Keeps history.csv in a run's folder at what `Progress.history` holds.

    Where a run is resumed the file is written anew: lines of epochs that a killed session had done after its last saved
    state would else come twice. It is written anew too where a line has a column that was not there before.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY
        self.columns: list[str] = []
        self.lines = 0

    def run_begins(self, run: StartedRun, progress: Progress) -> None:
        """The file as of the state that the run goes on from; none at a run's beginning."""
        self._write_anew(progress.history)

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        """A line more."""
        self._keep_up(progress.history)

    def task_ended(self, run: StartedRun, progress: Progress) -> None:
        """The figures of a task that is solved."""
        self._keep_up(progress.history)

    def _keep_up(self, history: Sequence[Mapping[str, Any]]) -> None:
        new = history[self.lines :]
        known = self.lines > 0 and all(name in self.columns for line in new for name in line)
        if known and appended(self.path, as_csv(new, self.columns)):
            self.lines += len(new)
        elif new:
            self._write_anew(history)

    def _write_anew(self, history: Sequence[Mapping[str, Any]]) -> None:
        self.columns = list(dict.fromkeys(name for line in history for name in line))
        self.lines = len(history)
        if history or self.path.is_file():
            with written_aside(self.path) as stream:
                stream.write(as_csv([dict(zip(self.columns, self.columns, strict=True)), *history], self.columns))


def as_csv(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The lines of a CSV file, what a line has not left empty."""
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(lines)
    return text.getvalue()
