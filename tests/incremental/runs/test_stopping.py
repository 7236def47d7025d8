"""A run that is asked to stop ends its step, saves, and is resumed to the same bits."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.learning.state import Progress, Stopped
from avcil.incremental.runs.experiment import run_once
from avcil.incremental.runs.listeners import Listener, StartedRun
from avcil.incremental.runs.stopping import StopRequest
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import SOLVED, Made

pytestmark = pytest.mark.usefixtures("one_thread")
METHODS = ("av-cil", "icarl-nme", "afc-lsc", "fine-tuning")


class Countdown:
    """Asks to stop when it is asked for the `calls`-th time."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self) -> bool:
        self.calls -= 1
        return self.calls <= 0


class Heard(Listener):
    """Where the run stopped."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int, int]] = []
        self.full: list[tuple[int, int, int, bool]] = []
        """With whether an epoch awaits its validation."""

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        self.places.append((progress.task, progress.epoch, progress.step))
        self.full.append((*self.places[-1], progress.awaiting is not None))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_stopped_within_epochs_again_and_again_has_the_same_bits(
    made: Made, tmp_path: Path, method: str, reference: Callable[[str], Path]
):
    """In steps, in validation and while the teacher is asked, wherever it happens to be."""
    heard, calls = Heard(), 0
    while not (tmp_path / "out" / "metrics.json").exists():
        calls += 1
        with contextlib.suppress(Stopped):
            run_once(*synthetic.prepare(made, method), tmp_path / "out", [heard], Countdown(calls))
    assert len(heard.places) == calls - 1 > 4
    reached = [(task, epoch + 1, 0) if awaiting else (task, epoch, step) for task, epoch, step, awaiting in heard.full]
    assert reached == sorted(reached)  # never back
    assert synthetic.differing(reference(method), tmp_path / "out") == []


EARLY: dict[str, Any] = {"epochs": 6, "patience": 1, "validate_every": 2}
"""Settings with which some task of the synthetic clips ends before its last epoch."""


@pytest.mark.parametrize(("method", "given"), [("av-cil", {}), ("afc-nme", {"balanced_epochs": 2})])
def test_a_run_whose_tasks_end_early_has_the_same_bits_wherever_it_is_stopped(
    made: Made, tmp_path: Path, method: str, given: Any
):
    metrics = synthetic.run(made, method, tmp_path / "whole", **EARLY, **given)
    assert min(metrics["epochs_by_task"]) < 6
    calls = 0
    while not (tmp_path / "out" / "metrics.json").exists():
        calls += 3
        with contextlib.suppress(Stopped):
            run_once(*synthetic.prepare(made, method, **EARLY, **given), tmp_path / "out", [], Countdown(calls))
    assert calls > 9
    assert synthetic.differing(tmp_path / "whole", tmp_path / "out") == []


def test_a_balanced_epoch_is_stopped_in_after_a_task_that_ended_early(made: Made, tmp_path: Path):
    given: dict[str, Any] = {**EARLY, "balanced_epochs": 3, "validate_every": 1}
    metrics = synthetic.run(made, "afc-lsc", tmp_path / "whole", **given)
    took = metrics["epochs_by_task"][1]
    assert took < 6
    heard, stop = Heard(), Within("conclude")
    with pytest.raises(Stopped):
        run_once(*synthetic.prepare(made, "afc-lsc", **given), tmp_path / "out", [heard], stop)
    assert heard.full == [(2, took, 0, False)]
    run_once(*synthetic.prepare(made, "afc-lsc", **given), tmp_path / "out")
    assert synthetic.differing(tmp_path / "whole", tmp_path / "out") == []


class Within:
    """Asks to stop once the run is at work in the method `name` of the trainer or of a way of learning."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0

    def __call__(self) -> bool:
        within = any(frame.name == self.name for frame in traceback.extract_stack())
        self.asked += within
        return within


@pytest.mark.parametrize(
    ("method", "name", "place", "given"),
    [
        ("av-cil", "_ask_teacher", (2, 0, 0), {}),
        ("afc-nme", "_ask_teacher", (2, 0, 0), {}),
        ("icarl-nme", "_accuracy", (2, 0, 0), {}),
        ("afc-lsc", "conclude", (2, 2, 0), {"balanced_epochs": 3}),
        ("afc-lsc", "conclude", (2, 2, 0), {"balanced_epochs": 3, "model_choice": "last"}),
        ("afc-nme", "conclude", (2, 2, 0), {"balanced_epochs": 3, "batch_size": 256}),
    ],
)
def test_a_run_stops_in_whatever_takes_time(
    made: Made, tmp_path: Path, method: str, name: str, place: tuple[int, int, int], given: Any
):
    heard, stop = Heard(), Within(name)
    with pytest.raises(Stopped):
        run_once(*synthetic.prepare(made, method, **given), tmp_path / "out", [heard], stop)
    assert (stop.asked, heard.full) == (1, [(*place, name == "_accuracy")])
    run_once(*synthetic.prepare(made, method, **given), tmp_path / "out")
    synthetic.run(made, method, tmp_path / "whole", **given)
    assert synthetic.differing(tmp_path / "whole", tmp_path / "out") == []


class AfterEpochs(Listener):
    """Asks to stop whenever an epoch has ended."""

    def __init__(self) -> None:
        self.ended = False

    def epoch_ended(self, run: StartedRun, progress: Progress) -> None:
        self.ended = True

    def __call__(self) -> bool:
        return self.ended


@pytest.mark.parametrize("method", METHODS)
def test_a_run_whose_epochs_are_one_step_each_stops_after_each(made: Made, tmp_path: Path, method: str):
    """There is no place between two steps of an epoch."""
    given: dict[str, Any] = {"batch_size": 256, "memory_batch_size": 256}
    heard = Heard()
    while not (tmp_path / "out" / "metrics.json").exists():
        try:
            stop = AfterEpochs()
            run_once(*synthetic.prepare(made, method, **given), tmp_path / "out", [heard, stop], stop)
        except Stopped:
            assert heard.places[-1][2] == 0
    assert [place[:2] for place in heard.places] == [(task, epoch) for task in (1, 2, 3) for epoch in (1, 2)]
    synthetic.run(made, method, tmp_path / "whole", **given)
    assert synthetic.differing(tmp_path / "whole", tmp_path / "out") == []


@pytest.mark.parametrize("method", SOLVED)
def test_a_solved_run_begins_its_task_again(made: Made, tmp_path: Path, method: str):
    synthetic.run(made, method, tmp_path / "whole")
    heard = Heard()
    for calls in (2, 5):
        with pytest.raises(Stopped):
            run_once(*synthetic.prepare(made, method), tmp_path / "out", [heard], Countdown(calls))
    assert heard.places == [(1, 0, 0), (2, 0, 0)]
    run_once(*synthetic.prepare(made, method), tmp_path / "out")
    assert synthetic.differing(tmp_path / "whole", tmp_path / "out") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_once_and_handlers_are_put_back(number: signal.Signals, capfd: pytest.CaptureFixture[str]):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.signal == number
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before  # a second one ends it
    assert "once more stops at once" in capfd.readouterr().err
    with StopRequest():
        pass
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_nothing_is_installed():
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with StopRequest() as stop:
                assert not stop()
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []


PROGRAM = """
import os, signal, sys
from avcil.incremental.learning import gradient
from avcil.incremental.cli import main

number = int(sys.argv.pop(1))
step, seen = gradient.GradientLearning._step, []

def counted(self, *given, **named):
    seen.append(1)
    if len(seen) == 5:
        os.kill(os.getpid(), number)
    return step(self, *given, **named)

gradient.GradientLearning._step = counted
main(prog_name="avcil-incr")
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_process_of_its_own(made: Made, tmp_path: Path, number: signal.Signals):
    words = ["run", "--method", "fine-tuning", "--manifest", str(made.manifest), "--cache", str(made.cache)]
    settings = {**synthetic.SETTINGS, "checkpoint_seconds": 3600}
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number)), *words, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr.splitlines()[-1] == f"stopped, and saved in {out}: the same command resumes from there"
    assert "Traceback" not in done.stderr
    assert (out / "state.pt").is_file()
    synthetic.run(made, "fine-tuning", out, checkpoint_seconds=3600)
    synthetic.run(made, "fine-tuning", tmp_path / "whole")
    assert synthetic.differing(tmp_path / "whole", out) == []
