"""What a decoding process may not do: outlive its parent, or take more memory than it is given.

Set before anything else is imported, since imports take a second in which the parent may be killed. So this file
imports the standard library only. Linux; elsewhere only the memory of some allocations is bounded.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

LONGEST_OUTPUT = 2**20  # bytes


def set_limits(parent: int, memory: int) -> None:
    """Bind this process to its parent and bound its memory.

    Args:
        parent: process id of the one that started it.
        memory: bytes of data: heap, stacks and anonymous mappings, of all threads. More cannot be had: a decoder then
            reports an error, where the system would have killed some process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os.kill(os.getpid(), signal.SIGKILL)
        with contextlib.suppress(OSError):  # go first when memory runs out all the same
            Path("/proc/self/oom_score_adj").write_text("1000")
    _bound(resource.RLIMIT_DATA, memory)


def bound_output() -> None:
    """Bound what is written to any one file, standard error included; Python ignores the signal that comes with it.

    Called after the imports, which may write caches.
    """
    _bound(resource.RLIMIT_FSIZE, LONGEST_OUTPUT)


def _bound(what: int, amount: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))
