"""The two matrix products of attention pooling on a CPU, each by the quickest routine PyTorch carries.

oneDNN's linear layer takes the tanh into the product, where it costs next to nothing, rounds to the storage
type once, after it, and multiplies float32 about twice as fast as `torch.mm` does on processors that are not
Intel's. Public operators stand in for the types that it does not multiply on this processor
(`devices.fused_linear_types`); both ways agree within rounding.
"""

import torch
from torch import Tensor

from ....devices import fused_linear_types, multiplies_bfloat16_fast

_CPU = torch.device("cpu")


def product_type(stored: torch.dtype) -> torch.dtype:
    """The type in which tokens stored as `stored` are multiplied.

    float32 and float64 stay what they are. bfloat16 and float16 become bfloat16, or float32 where the processor
    is not fast at bfloat16: CPUs multiply float16 hundreds of times slower than either.
    """
    if stored in (torch.float32, torch.float64):
        return stored
    return torch.bfloat16 if multiplies_bfloat16_fast(_CPU) else torch.float32


def packed(weight: Tensor, rows: int) -> Tensor:
    """`weight` (D_out, D_in) for `tanh_linear` of many tokens (rows, D_in), laid out once as oneDNN would each time."""
    if weight.dtype in fused_linear_types() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        result: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        return result
    return weight


def tanh_linear(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """tanh(tokens @ weight.T + bias) in the tokens' type, summed in float32 at least.

    tokens (R, D_in) and weight (D_out, D_in) of one type, the weight `packed` or not; bias (D_out,) float32, or float64
    with float64 tokens.
    """
    if tokens.dtype in fused_linear_types():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(tokens, weight, bias, "tanh", [], "")
        return result
    return torch.addmm(bias.to(tokens.dtype), tokens, weight.t()).tanh_()


def transposed_product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """left.T @ right for left (R, D_out) and right (R, D_in) of one type; `out` (D_out, D_in) may be used for it."""
    if left.dtype == torch.float32 and left.dtype in fused_linear_types():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(left.t(), right.t(), None, "none", [], "")
        return result
    return torch.mm(left.t(), right, out=out)
