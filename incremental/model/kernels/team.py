"""A batch's clips shared among the processor's cores: a thread takes whole clips, not shares of each operation.

PyTorch by itself divides every operation among its threads, which then wait for one another some hundred times a
clip: for the slower one when the machine is busy, and with matrix products too small to be divided well. Threads
that take whole clips meet once a batch. PyTorch lets go of Python's global lock inside its operations, so the
threads do run side by side.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from ....threads import workers

T = TypeVar("T")

MOST_MEMBERS = 8
"""More threads than this would wait for Python's global lock; further cores work inside the operations."""


def share(work: Callable[[range], T], count: int, *, divided: bool = True) -> list[T]:
    """`work(clips)` for ranges that together are 0..count-1, side by side; results in the order of the ranges.

    `divided`: whether further cores may divide each operation. Groups of clips go without: where an operation is
    divided depends on how large it is, so that a clip would meet other borders in a smaller group.

    As many threads work as PyTorch is set to use. The division depends on nothing but their number and the count,
    so that sums over it come out the same every time; and a clip is worked on by the same number of threads
    however many clips there are, so that its own results do not depend on the count. No gradient is recorded.
    """
    threads = torch.get_num_threads()
    members = min(threads, MOST_MEMBERS)
    inside = threads // members if divided else 1
    inference = torch.is_inference_mode_enabled()

    def guarded(clips: range) -> T:
        # Both modes belong to a thread, and the caller's tensors may have been made in either.
        with torch.inference_mode(inference), torch.no_grad():
            return work(clips)

    shares = [range(first, count, members) for first in range(max(1, min(members, count)))]
    if threads == 1:
        return [guarded(clips) for clips in shares]
    return list(_team(members, inside).map(guarded, shares))


@functools.lru_cache(maxsize=1)
def _team(members: int, threads_each: int) -> ThreadPoolExecutor:
    return workers(members, threads_each, "attention")


# A forked child has the team's object and none of its threads.
os.register_at_fork(after_in_child=_team.cache_clear)
