"""A run that is asked to stop ends its step, saves, and is resumed to the same bits."""

import os
import signal
import subprocess
import sys
import threading
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

    def stopped(self, run: StartedRun, progress: Progress) -> None:
        self.places.append((progress.task, progress.epoch, progress.step))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_stopped_within_epochs_again_and_again_has_the_same_bits(
    made: Made, tmp_path: Path, method: str, reference: Callable[[str], Path]
):
    heard = Heard()
    for calls in (1, 1, 2, 1):
        with pytest.raises(Stopped):
            run_once(*synthetic.prepare(made, method), tmp_path / "out", [heard], Countdown(calls))
        assert not (tmp_path / "out" / "metrics.json").exists()
    assert len(set(heard.places)) == 4  # each time further on
    run_once(*synthetic.prepare(made, method), tmp_path / "out")
    assert synthetic.differing(reference(method), tmp_path / "out") == []


@pytest.mark.parametrize("method", METHODS)
def test_a_run_whose_epochs_are_one_step_each_stops_after_each(made: Made, tmp_path: Path, method: str):
    """There is no place between two steps of an epoch."""
    given: dict[str, Any] = {"batch_size": 256, "memory_batch_size": 256}
    heard = Heard()
    while not (tmp_path / "out" / "metrics.json").exists():
        try:
            run_once(*synthetic.prepare(made, method, **given), tmp_path / "out", [heard], Countdown(1))
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
