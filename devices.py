"""Where the arithmetic runs, and in which precision it runs fast there. Without PyTorch until a question needs it.

What the processor multiplies is asked here and nowhere else, and once.
"""

import functools
import os
from typing import TYPE_CHECKING, Literal, get_args

from .errors import InputError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""The floating-point types that models compute in."""


def choose_device(name: str) -> "torch.device":
    """The device called `name`: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:0", "mps".

    Raises InputError where that device does not exist here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        if device.type == "meta":
            raise RuntimeError("it has shapes and no values")
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise InputError(f"device '{name}' cannot be used ({reason}); try --device auto or cpu") from error
    return device


def multiplies_bfloat16_fast(device: "torch.device") -> bool:
    """Whether bfloat16 products beat float32 ones: CUDA from Ampere on, CPUs with AVX512-BF16 or AMX.

    On a CPU by oneDNN, with which PyTorch multiplies bfloat16: false where oneDNN is held to an older instruction
    set (`ONEDNN_MAX_CPU_ISA`), and with AVX512 alone, where it works the products out in float32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_multiplies_bfloat16_fast()


@functools.cache
def fused_linear_types() -> "frozenset[torch.dtype]":
    """The types, of float32 and bfloat16, that oneDNN's fused linear layer multiplies on this processor.

    PyTorch carries that layer as an operator without a public name, `torch.ops.mkldnn._linear_pointwise`. It raises
    for a type that oneDNN has no routine for here, so each is tried. Empty where PyTorch does not carry it.
    """
    import torch

    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return frozenset()
    return frozenset(filter(_has_fused_linear, (torch.float32, torch.bfloat16)))


def _has_fused_linear(dtype: "torch.dtype") -> bool:
    import torch

    operand, bias = torch.ones(2, 2, dtype=dtype), torch.ones(2)
    try:
        torch.ops.mkldnn._linear_pointwise(operand, operand, bias, "tanh", [], "")
    except RuntimeError:
        return False
    return True


@functools.cache
def _cpu_multiplies_bfloat16_fast() -> bool:
    import torch

    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    # PyTorch tells what the processor has; what oneDNN may use of it is read as oneDNN reads it, old name included.
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    may_use_them = limit.upper() not in ("AVX512_CORE", "AVX512_CORE_VNNI")  # below these the layer itself is missing
    return bool(has_instructions and may_use_them and torch.bfloat16 in fused_linear_types())


def fastest_precision(device: "torch.device") -> Precision:
    """The precision in which `device` computes fastest."""
    return "bfloat16" if multiplies_bfloat16_fast(device) else "float32"


def dtype_of(precision: Precision) -> "torch.dtype":
    """`precision` as PyTorch names it."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def describe_device(device: "torch.device") -> str:
    """The name of the GPU, or "cpu, N threads"."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
