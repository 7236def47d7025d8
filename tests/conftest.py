"""How the tests share the processor: settled before anything imports PyTorch, and inherited by worker processes."""

import os

import pytest

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
MOST_WORKERS = 8
"""A worker of pytest-xdist takes about a gigabyte of memory."""

# Threads that wait by spinning take the core from those that they wait for: beside another job they made a test of
# half a second last more than a minute.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, CORES // int(workers))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: a worker for each core that this process may use."""
    return min(CORES, MOST_WORKERS)
