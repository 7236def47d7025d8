"""Large buffers that are used again: what one step leaves for its backward pass lies where the last step's lay.

A step writes hundreds of megabytes for backward to read. Memory fresh from the system has to be mapped and zeroed
when it is first touched, which took from a tenth of the step, page by page, to half of it in a virtual machine
whose host had taken the pages back.
"""

import math
import threading
import weakref

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SMALL = 1024 * 1024
"""Bytes below which PyTorch's own allocation is as good."""

ALIGNMENT = 64  # PyTorch's own, a cache line

Memory = npt.NDArray[np.uint8]
_spare: list[Memory] = []
_taking = threading.Lock()


def reusable_empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """`torch.empty` on a CPU, in memory that is kept for the next tensor of this size once the last use ends.

    When a size is asked for that is not at hand, spare memory of other sizes is let go: sizes repeat from step to
    step, and what no longer fits is of the past.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return torch.empty(shape, dtype=dtype)
    memory = _take(size + ALIGNMENT)
    # PyTorch holds on to the array that it is given until no tensor uses it, and then it is the array's end that
    # tells us. The array is a view, so that the memory outlives it.
    lent = memory[:]
    weakref.finalize(lent, _spare.append, memory).atexit = False
    raw = torch.from_numpy(lent)
    start = -raw.data_ptr() % ALIGNMENT
    return raw[start : start + size].view(dtype).view(shape)


def _take(size: int) -> Memory:
    with _taking:
        for place, memory in enumerate(_spare):
            if memory.nbytes == size:
                return _spare.pop(place)
        _spare.clear()
    return np.empty(size, dtype=np.uint8)  # NumPy asks the system for huge pages, PyTorch does not
