"""What is seen of a run while it lasts."""

import io
import sys

import pytest
import torch
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.screen import RunProgress

EPOCH = Progress(task=2, epoch=1, history=[{"validation_accuracy": 61.25}])
TASK_END = Progress(
    task=3, epoch=0, predictions=[(torch.arange(9), torch.zeros(9, 4))], chosen_epochs=[5, 7], seconds=12.34
)


def test_a_log_file_gets_a_line_a_task(capsys: pytest.CaptureFixture[str]):
    with RunProgress(epochs=10, tasks=3) as progress:
        for one in (EPOCH, TASK_END):
            progress.report(one)
        progress.report_seed(4, TASK_END)
    line = "task 2/3: epoch 7 chosen, tested on 9 clips of 4 classes, 12.3 s so far\n"
    assert capsys.readouterr().out == f"{line}seed 4, {line}"


def test_a_terminal_gets_a_bar_as_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = RunProgress(epochs=10, tasks=3)
    progress.bar.console.file = screen = io.StringIO()
    with progress:
        progress.report_seed(4, EPOCH)
        (task,) = progress.bar.tasks
        assert (task.completed, task.total) == (11, 30)
        assert task.description == "seed 4, task 2/3, validation 61.2%"
        progress.report_seed(4, TASK_END)
    assert "seed 4, task 2/3: epoch 7 chosen" in screen.getvalue()


def test_without_validation_none_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = RunProgress(epochs=10, tasks=3)
    progress.report(Progress(task=1, epoch=3, history=[{"loss": 1.0}]))
    assert progress.bar.tasks[0].description == "task 1/3"


def test_a_run_that_goes_on_says_so_once_a_seed(capsys: pytest.CaptureFixture[str]):
    later = Progress(task=2, epoch=3, history=[{}] * 8)
    with RunProgress(epochs=5, tasks=3) as progress:
        for seed in (0, 1):
            progress.report_seed(seed, later)
            progress.report_seed(seed, later)
        progress.report_seed(2, Progress(task=1, epoch=1, history=[{}]))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"seed {seed}, going on after 7 epochs of an earlier sitting" for seed in (0, 1)]
