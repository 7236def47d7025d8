"""The Triton kernels: interpreted on a CPU, compiled for a GPU, and on a GPU where there is one.

Each in a process of its own, since TRITON_INTERPRET counts when Triton is first imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")
HERE = Path(__file__).parent


def run(*arguments: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("some", ["plain_way", "not plain_way"])  # two halves, for two cores
def test_under_the_interpreter(some):
    run("-m", "pytest", "-q", HERE / "interpreted_triton.py", "-k", some, TRITON_INTERPRET="1")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    run("-m", "pytest", "-q", HERE / "interpreted_triton.py", TRITON_INTERPRET="0")


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["bf16", "fp16", "fp32"])
def test_the_kernels_compile_for_a_gpu(stored, tmp_path):
    lines = run(HERE / "compiled_triton.py", stored, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    assert len(lines.splitlines()) == 9
