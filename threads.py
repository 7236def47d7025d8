"""Threads, bounded: how many there may be, and pools that share the cores with PyTorch's own threads."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers(count: int, threads_each: int, name: str) -> ThreadPoolExecutor:
    """`count` threads in whose operations PyTorch uses `threads_each` threads; the caller's own number stays."""
    everyone = threading.Barrier(count)
    own = torch.get_num_threads()

    def limit() -> None:
        torch.get_num_threads()  # a thread's first question sets its number to the common one: ask before setting
        torch.set_num_threads(threads_each)
        everyone.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    for started in [pool.submit(limit) for _ in range(count)]:
        started.result()
    torch.set_num_threads(own)  # each thread has its own number, but the last one set is what new threads take
    return pool
