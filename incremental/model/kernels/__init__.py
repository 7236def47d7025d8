"""The fused ways of attention pooling, and which of them serves a store.

`cpu` works clip by clip with PyTorch's own operations and needs no compiler; `triton` is for NVIDIA cards and is
imported only when it is used. The plain way, for every other device, is beside the public operation.
"""

import importlib.util
from typing import Literal

import torch
from torch import Tensor

from ....devices import multiplies_bfloat16_fast
from ....errors import unknown

Implementation = Literal["plain", "cpu", "triton"]
_IMPLEMENTATIONS: tuple[Implementation, ...] = ("cpu", "triton", "plain")  # "auto" takes the first that can
CPU_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
CUDA_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def choose(implementation: str, store: Tensor) -> Implementation:
    """The way that `implementation` means for `store`: itself, or with "auto" the quickest one that can.

    Raises InputError for an unknown name; ValueError for a fused way asked for by name that cannot serve the
    store: another device or type, a gradient wanted for the store, Triton absent.
    """
    if implementation == "auto":
        return next(name for name in _IMPLEMENTATIONS if not _hindrance(name, store))
    for name in _IMPLEMENTATIONS:
        if name == implementation:
            if hindrance := _hindrance(name, store):
                raise ValueError(f"attention_pool: implementation '{name}' {hindrance}")
            return name
    raise unknown("implementation", implementation, ("auto", *_IMPLEMENTATIONS))


def _hindrance(implementation: Implementation, store: Tensor) -> str | None:
    """Why `implementation` cannot serve `store`, or None."""
    if implementation == "plain":
        return None
    if store.requires_grad:
        return "gives the store no gradient: freeze the store or choose 'plain'"
    device, types = ("cpu", CPU_TYPES) if implementation == "cpu" else ("cuda", CUDA_TYPES)
    if store.dtype not in types:
        return f"does not work on {store.dtype}: use {', '.join(str(dtype) for dtype in types)}, or choose 'plain'"
    if implementation == "triton":
        if importlib.util.find_spec("triton") is None:
            return "needs the package triton: install it or choose 'plain'"
        from . import triton

        if triton.INTERPRETED:
            device = "cpu"
    if store.device.type != device:
        return f"works on a {device} store, and this one is on {store.device}"
    if store.is_cuda and (torch.version.hip or not multiplies_bfloat16_fast(store.device)):
        return "needs an NVIDIA card that multiplies bfloat16, of compute capability 8.0 or more: choose 'plain'"
    return None
