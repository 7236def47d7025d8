"""What is seen of a run while it lasts."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from avcil.incremental.data.tasks import ClipTable
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.listeners import StartedRun
from avcil.incremental.runs.outcome import outcome_of
from avcil.incremental.runs.screen import Screen

TABLE = ClipTable(
    ids=tuple("abcdefgh"),
    labels=torch.tensor([0, 0, 0, 0, 1, 1, 1, 2]),
    splits=("test",) * 8,
    tasks=(("one",), ("two",), ("three",)),
)


def scores(answers: Sequence[int], classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(answers), classes).float()


FIRST = (torch.arange(4), scores([0, 0, 0, 0], 1))
SECOND = (torch.arange(7), scores([0, 1, 1, 0, 1, 1, 0], 2))
"""4 of 7 right; 2 of 4 of the first task, 2 of 3 of the second."""
EPOCH = Progress(
    task=2, epoch=1, history=[{"task": 2, "epoch": 1, "ce": 0.25, "kd": 0.5, "validation_accuracy": 61.25}]
)


def task_end(**given: Any) -> Progress:
    values: dict[str, Any] = {
        "task": 3,
        "predictions": [FIRST, SECOND],
        "chosen_epochs": [5, 7],
        "seconds": 22.34,
        "history": [{"task": 2, "epoch": 7, "ce": 0.1, "validation_accuracy": 63.34}],
    }
    return Progress(**values | given)


class Clock:
    """Stands still but where it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def started(seed: int = 0, *, epochs: int = 10, way: Any = "gradient", patience: int | None = None) -> StartedRun:
    """A run of three tasks."""
    config: Any = SimpleNamespace(seed=seed, class_order_seed=None, epochs=epochs, patience=patience)
    return StartedRun(config, None, way, Path("out"), TABLE)


def test_how_a_run_does_after_a_task_by_hand():
    found = outcome_of(TABLE, task_end())
    assert (found.test, found.new, found.old) == pytest.approx((400 / 7, 200 / 3, 50.0))
    assert found.forgetting == pytest.approx(50.0)  # 100 % after the first task
    assert (found.chosen_epoch, found.validation) == (7, 63.34)
    found = outcome_of(TABLE, task_end(task=2, predictions=[FIRST], chosen_epochs=[3], history=[]))
    assert (found.test, found.new, found.old, found.forgetting, found.validation) == (100.0, 100.0, None, None, None)


def test_a_log_file_gets_a_line_a_task(capsys: pytest.CaptureFixture[str]):
    line = "task 2/3: test 57.1 % (new 66.7, old 50.0), forgetting 50.0, epoch 7 of 10 (val 63.3 %), 22 s\n"
    for several, name in ((False, ""), (True, "seed 4, ")):
        with Screen(several=several, clock=Clock()) as screen:
            screen.run_begins(started(4), Progress())
            screen.epoch_ended(started(4), EPOCH)
            screen.task_ended(started(4), task_end())
        assert capsys.readouterr().out == name + line


def test_a_task_without_old_ones_and_without_validation(capsys: pytest.CaptureFixture[str]):
    with Screen(clock=Clock()) as screen:
        screen.run_begins(started(), Progress())
        screen.task_ended(started(), task_end(task=2, predictions=[FIRST], chosen_epochs=[10], history=[]))
    assert capsys.readouterr().out == "task 1/3: test 100.0 %, epoch 10 of 10, 22 s\n"


def test_a_log_file_gets_a_line_every_thirty_seconds_while_a_task_is_learnt(capsys: pytest.CaptureFixture[str]):
    clock, run = Clock(), started()
    with Screen(clock=clock) as screen:
        screen.run_begins(run, Progress())
        for epoch, now in ((1, 1010.0), (2, 1029.0), (3, 1030.0), (4, 1059.0), (5, 1065.0)):
            clock.now = now
            line = {"task": 1, "epoch": epoch, "ce": 0.5, "kd": 0.25}
            screen.epoch_ended(run, Progress(task=1, epoch=epoch, history=[line]))
        clock.now = 1090.0
        screen.task_ended(run, task_end(task=2, predictions=[FIRST], chosen_epochs=[10], history=[]))
        clock.now = 1119.0  # not 30 s since the line of the task
        screen.epoch_ended(run, EPOCH)
    assert capsys.readouterr().out.splitlines() == [
        "task 1/3, epoch 3/10, loss 0.75, 30 s gone, 4 min 30 s left",  # 27 epochs more
        "task 1/3, epoch 5/10, loss 0.75, 1 min 5 s gone, 5 min 25 s left",
        "task 1/3: test 100.0 %, epoch 10 of 10, 22 s",
    ]


def test_a_terminal_gets_a_bar_as_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    clock = Clock()
    screen = Screen(several=True, clock=clock)
    screen.bar.console.file = shown = io.StringIO()
    with screen:
        screen.run_begins(started(4), Progress())
        clock.now += 100
        screen.epoch_ended(started(4), EPOCH)
        (task,) = screen.bar.tasks
        assert (task.completed, task.total) == (11, 30)
        assert task.description == "seed 4, task 2/3, epoch 1/10, loss 0.75, val 61.2 %"
        screen.task_ended(started(4), task_end())
        screen.run_ended(started(4), {})
        assert task.completed == 30
        screen.run_begins(started(5), Progress())
        assert (task.completed, task.total, task.description) == (0, 30, "seed 5, task 1/3")
    assert "seed 4, task 2/3: test 57.1 %" in shown.getvalue()
    assert "gone" in shown.getvalue()


def test_without_validation_none_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    screen = Screen()
    screen.epoch_ended(started(), Progress(task=1, epoch=3, history=[{"loss": 1.0}]))
    assert screen.bar.tasks[0].description == "task 1/3, epoch 3/10, loss 1"


def test_a_resumed_run_says_so_once(capsys: pytest.CaptureFixture[str]):
    later = Progress(task=2, epoch=2)
    with Screen(several=True, clock=Clock()) as screen:
        for seed in (0, 1):
            screen.run_begins(started(seed, epochs=5), later)
            screen.epoch_ended(started(seed, epochs=5), Progress(task=2, epoch=3, history=[{}]))
        screen.run_begins(started(2, epochs=5), Progress())
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"seed {seed}, resuming after 7 epochs of an earlier session" for seed in (0, 1)]


def test_a_run_without_epochs_counts_tasks(capsys: pytest.CaptureFixture[str]):
    run = started(way="statistics")
    with Screen(clock=Clock()) as screen:
        screen.run_begins(run, Progress(task=2, seconds=12.0))
        screen.task_ended(run, task_end(chosen_epochs=[0, 0]))
    assert capsys.readouterr().out.splitlines() == [
        "resuming after 1 task of an earlier session",
        "task 2/3: test 57.1 % (new 66.7, old 50.0), forgetting 50.0, solved, 10 s",
    ]


EARLY = [{"task": task, "epoch": epoch, "ce": 1.0} for task, took in ((1, 3), (2, 7)) for epoch in range(1, took + 1)]
"""Tasks of three and of seven epochs."""


def test_epochs_that_a_task_did_without_are_neither_done_nor_to_come():
    run = started(patience=2)
    assert (run.done(Progress(task=1, epoch=3, history=EARLY[:3])), run.total(Progress())) == (3, 30)
    second = Progress(task=2, epoch=4, history=EARLY[:7])
    assert (run.done(second), run.total(second)) == (7, 23)
    last = Progress(task=4, history=[*EARLY, {"task": 3, "epoch": 10}])
    assert (run.done(last), run.total(last)) == (20, 20)
    assert [run.length(task, last) for task in (1, 2, 3)] == [3, 7, 10]


def test_a_task_that_ended_early_says_so_and_time_left_is_at_most(capsys: pytest.CaptureFixture[str]):
    clock, run = Clock(), started(patience=2)
    with Screen(clock=clock) as screen:
        screen.run_begins(run, Progress())
        clock.now += 31
        screen.epoch_ended(run, Progress(task=1, epoch=1, history=EARLY[:1]))
        screen.task_ended(run, task_end(history=EARLY))
        clock.now += 69  # 100 s for 11 epochs; 9 more at most
        screen.epoch_ended(run, Progress(task=3, epoch=1, history=[*EARLY, {"task": 3, "epoch": 1}]))
        (task,) = screen.bar.tasks
        assert (task.completed, task.total) == (11, 20)
    first, ended, second = capsys.readouterr().out.splitlines()
    assert first == "task 1/3, epoch 1/10, loss 1, 31 s gone, at most 14 min 59 s left"
    assert ended.endswith("forgetting 50.0, epoch 7 of 7, ended early, 22 s")
    assert second == "task 3/3, epoch 1/10, 1 min 40 s gone, at most 1 min 22 s left"


def test_a_resumed_run_counts_the_epochs_that_there_were(capsys: pytest.CaptureFixture[str]):
    with Screen(clock=Clock()) as screen:
        screen.run_begins(started(patience=2), Progress(task=2, epoch=4, history=EARLY[:7]))
    assert capsys.readouterr().out == "resuming after 7 epochs of an earlier session\n"
