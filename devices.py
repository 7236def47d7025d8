"""Where the arithmetic runs, and in which precision it runs fast there. Without PyTorch until a question needs it."""

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
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise InputError(f"device '{name}' cannot be used ({reason}); try --device auto or cpu") from error
    return device


def multiplies_bfloat16_fast(device: "torch.device") -> bool:
    """Whether bfloat16 products beat float32 ones: CUDA from Ampere on, CPUs with AVX512-BF16 or AMX."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


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
