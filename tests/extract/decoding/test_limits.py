"""A decoding process is bound before it imports anything that takes time."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from avcil.extract.decoding.limits import LONGEST_OUTPUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limits")

BEGIN = "import os; from avcil.extract.decoding.limits import bound_output, set_limits; "


def run(code, **settings):
    return subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, **settings)


def test_nothing_is_imported_that_takes_time():
    heavy = {"av", "numpy", "PIL", "torch", "transformers"}
    assert run(f"import sys; print({heavy} & set(sys.modules))").stdout == "set()\n"


def test_a_process_whose_parent_died_before_it_was_bound_ends_itself():
    assert run("set_limits(os.getppid() + 1, 10**9); print('alive')").returncode == -signal.SIGKILL
    assert run("set_limits(os.getppid(), 10**9); print('alive')").stdout == "alive\n"


def test_memory():
    code = "set_limits(os.getppid(), {}); x = bytearray(2 * 10**8); print(len(x))"
    assert run(code.format(10**9)).stdout == "200000000\n"
    assert "MemoryError" in run(code.format(10**8)).stderr


def test_a_lower_limit_of_the_system_stays():
    code = "import resource as r; r.setrlimit(r.RLIMIT_DATA, (10**8, 10**8)); set_limits(os.getppid(), 10**9); "
    assert run(code + "print(r.getrlimit(r.RLIMIT_DATA))").stdout == f"({10**8}, {10**8})\n"


def test_output(tmp_path):
    path = tmp_path / "said"
    with path.open("wb") as said:
        code = "bound_output(); [os.write(1, bytes(10**6)) for _ in range(3)]"
        done = subprocess.run([sys.executable, "-c", BEGIN + code], stdout=said, stderr=subprocess.PIPE, check=False)
    assert b"File too large" in done.stderr
    assert path.stat().st_size == LONGEST_OUTPUT


PARENT = """
import os
from pathlib import Path
from avcil.extract.decoding.workers import DecodingPool, Job
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from avcil.extract.preparation.recipes import ClipPreparation, recipe
plan = ClipPreparation.of(recipe("audiomae"), VisualPreparation(), AudioPreparation())
os.environ["PYTHONPATH"] = os.pathsep.join([{folder!r}, os.environ.get("PYTHONPATH", "")])
with DecodingPool(plan, workers=1, timeout=600, memory=4.0) as pool:
    list(pool.read_all([Job("x", Path("x.mp4"))], ahead=1))
"""


def test_a_process_that_still_imports_does_not_outlive_its_parent(tmp_path):
    began = tmp_path / "began"
    (tmp_path / "numpy.py").write_text(f"open({str(began)!r}, 'w').close()\nimport time\ntime.sleep(600)\n")
    script = tmp_path / "parent" / "script.py"
    script.parent.mkdir()
    script.write_text(PARENT.format(folder=str(tmp_path)))
    parent = psutil.Popen([sys.executable, str(script)])
    try:
        deadline = time.monotonic() + 60
        while not began.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        young = parent.children()
        assert young
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(young, timeout=10)
    for process in alive:
        process.kill()
    assert not alive
