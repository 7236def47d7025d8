"""history.csv grows while a run lasts, and ends as it always did."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.history import HistoryFile
from avcil.incremental.runs.listeners import StartedRun
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made

pytestmark = pytest.mark.usefixtures("one_thread")

ANY: Any = SimpleNamespace()
RUN = StartedRun(ANY, None, "gradient", Path("out"), ANY)
LINES: list[dict[str, Any]] = [
    {"task": 1, "epoch": 1, "ce": 0.1, "validation_accuracy": 50.0},
    {"task": 1, "epoch": 2, "ce": 1e-05, "validation_accuracy": 62.5},
    {"task": 2, "epoch": 1, "ce": 0.25, "kd": 1 / 3, "validation_accuracy": 40.0},
]


def test_a_line_an_epoch(tmp_path: Path):
    history = HistoryFile(tmp_path)
    history.run_begins(RUN, Progress())
    path = tmp_path / "history.csv"
    assert not path.exists()
    history.epoch_ended(RUN, Progress(history=LINES[:1]))
    assert path.read_text() == "task,epoch,ce,validation_accuracy\n1,1,0.1,50.0\n"
    first = path.stat().st_ino
    history.epoch_ended(RUN, Progress(history=LINES[:2]))
    history.task_ended(RUN, Progress(history=LINES[:2]))
    assert path.read_text() == "task,epoch,ce,validation_accuracy\n1,1,0.1,50.0\n1,2,1e-05,62.5\n"
    assert path.stat().st_ino == first  # a line was added, nothing written anew
    history.epoch_ended(RUN, Progress(history=LINES))
    assert path.read_text().splitlines() == [
        "task,epoch,ce,validation_accuracy,kd",
        "1,1,0.1,50.0,",
        "1,2,1e-05,62.5,",
        "2,1,0.25,40.0,0.3333333333333333",
    ]


def test_lines_after_the_state_that_a_run_goes_on_from_are_taken_back(tmp_path: Path):
    (tmp_path / "history.csv").write_text("task,epoch,ce,validation_accuracy\n1,1,0.1,50.0\n1,2,7.0,1.0\n1,3,7")
    history = HistoryFile(tmp_path)
    history.run_begins(RUN, Progress(history=LINES[:1]))
    history.epoch_ended(RUN, Progress(history=LINES[:2]))
    assert (tmp_path / "history.csv").read_text().splitlines()[1:] == ["1,1,0.1,50.0", "1,2,1e-05,62.5"]


@pytest.mark.parametrize("when", ["from the beginning", "in between"])
def test_nothing_is_written_through_a_link(tmp_path: Path, when: str):
    (tmp_path / "thesis").write_text("mine")
    path = tmp_path / "history.csv"
    history = HistoryFile(tmp_path)
    if when == "from the beginning":
        path.symlink_to(tmp_path / "thesis")
    history.run_begins(RUN, Progress())
    history.epoch_ended(RUN, Progress(history=LINES[:1]))
    if when == "in between":
        path.unlink()
        path.symlink_to(tmp_path / "thesis")
    history.epoch_ended(RUN, Progress(history=LINES[:2]))
    assert (tmp_path / "thesis").read_text() == "mine"
    assert len(path.read_text().splitlines()) == 3 and not path.is_symlink()


class KilledError(Exception):
    """In the place of a kill."""


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{name: value for name, value in line.items() if value} for line in csv.DictReader(file)]


@pytest.mark.parametrize(("method", "events"), [("av-cil", 4), ("ridge", 2)])
def test_while_a_run_lasts_the_file_is_what_it_will_be_at_the_end(
    made: Made, tmp_path: Path, reference: Callable[[str], Path], method: str, events: int
):
    """After every epoch the file is the final one's beginning; killed and resumed, it ends as the same bytes."""
    out, final, seen = tmp_path / "out", reference(method) / "history.csv", list[int]()

    def report(progress: Progress) -> None:
        there = lines_of(out / "history.csv")
        assert there == lines_of(final)[: len(there)]
        seen.append(len(there))
        if len(seen) == events:
            raise KilledError

    with pytest.raises(KilledError):
        synthetic.run(made, method, out, report, checkpoint_seconds=1e6)
    assert seen == ([1, 2, 2, 3] if method == "av-cil" else [1, 2])  # an epoch, an epoch, their task, an epoch
    synthetic.run(made, method, out, checkpoint_seconds=1e6)
    assert (out / "history.csv").read_bytes() == final.read_bytes()
