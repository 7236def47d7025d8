"""What is seen of a run while it lasts."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.listeners import StartedRun
from avcil.incremental.runs.screen import Screen

EPOCH = Progress(task=2, epoch=1, history=[{"validation_accuracy": 61.25}])
TASK_END = Progress(
    task=3, epoch=0, predictions=[(torch.arange(9), torch.zeros(9, 4))], chosen_epochs=[5, 7], seconds=12.34
)


def started(seed: int = 0, *, epochs: int = 10, way: Any = "gradient") -> StartedRun:
    """A run of three tasks."""
    config: Any = SimpleNamespace(seed=seed, epochs=epochs)
    table: Any = SimpleNamespace(tasks=("one", "two", "three"))
    return StartedRun(config, None, way, Path("out"), table)


def test_a_log_file_gets_a_line_a_task(capsys: pytest.CaptureFixture[str]):
    line = "task 2/3: epoch 7 chosen, tested on 9 clips of 4 classes, 12.3 s so far\n"
    for several, name in ((False, ""), (True, "seed 4, ")):
        with Screen(several=several) as screen:
            screen.run_begins(started(4), Progress())
            screen.epoch_ended(started(4), EPOCH)
            screen.task_ended(started(4), TASK_END)
        assert capsys.readouterr().out == name + line


def test_a_terminal_gets_a_bar_as_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    screen = Screen(several=True)
    screen.bar.console.file = shown = io.StringIO()
    with screen:
        screen.run_begins(started(4), Progress())
        screen.epoch_ended(started(4), EPOCH)
        (task,) = screen.bar.tasks
        assert (task.completed, task.total) == (11, 30)
        assert task.description == "seed 4, task 2/3, validation 61.2%"
        screen.task_ended(started(4), TASK_END)
        screen.run_ended(started(4), {})
        assert task.completed == 30
        screen.run_begins(started(5), Progress())
        assert (task.completed, task.total) == (0, 30)
    assert "seed 4, task 2/3: epoch 7 chosen" in shown.getvalue()


def test_without_validation_none_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    screen = Screen()
    screen.epoch_ended(started(), Progress(task=1, epoch=3, history=[{"loss": 1.0}]))
    assert screen.bar.tasks[0].description == "task 1/3"


def test_a_resumed_run_says_so_once(capsys: pytest.CaptureFixture[str]):
    later = Progress(task=2, epoch=2)
    with Screen(several=True) as screen:
        for seed in (0, 1):
            screen.run_begins(started(seed, epochs=5), later)
            screen.epoch_ended(started(seed, epochs=5), Progress(task=2, epoch=3, history=[{}]))
        screen.run_begins(started(2, epochs=5), Progress())
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"seed {seed}, resuming after 7 epochs of an earlier session" for seed in (0, 1)]


def test_a_run_without_epochs_counts_tasks(capsys: pytest.CaptureFixture[str]):
    run = started(way="statistics")
    with Screen() as screen:
        screen.run_begins(run, Progress(task=2))
        screen.task_ended(run, TASK_END)
    assert capsys.readouterr().out.splitlines() == [
        "resuming after 1 tasks of an earlier session",
        "task 2/3: solved, tested on 9 clips of 4 classes, 12.3 s so far",
    ]
