"""Threads that share the cores with PyTorch's own."""

import os

import torch
from avcil.threads import usable_cores, workers


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_each_worker_has_its_own_number_of_threads_and_the_caller_keeps_its():
    before = torch.get_num_threads()
    with workers(3, 1, "counted") as pool:
        assert list(pool.map(lambda _: torch.get_num_threads(), range(6))) == [1] * 6
    assert torch.get_num_threads() == before
