"""Attention pooling for automatic differentiation, whichever kernels do the arithmetic.

Shapes: B clips, L time slices, S tokens, D channels; M = B - maps_from clips whose spatial attention is wanted.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Pooled = tuple[Tensor, Tensor, Tensor | None]
"""Pooled tokens (B, D), log temporal attention (B, L, D), and what `Gaze` asks for, if anything."""


class Gaze(NamedTuple):
    """What is wanted of the spatial attention w of the last clips of a batch: log w (M, L, S, D) itself; or, beside a
    teacher's maps t, only its cross-entropy -sum_(L, S, D) t log w (M,), for which no map is ever written."""

    first: int  # the M clips are those from here on
    teacher: Tensor | None = None  # (K, L, S, D) maps, of any float type
    teacher_rows: Tensor | None = None  # (M,) int64, where among them those of the M clips are


class Kept(NamedTuple):
    """What forward leaves for backward."""

    projected: Tensor  # (B, L, S, D) P, in the type of the products
    normaliser: Tensor  # (B, L, D) Z
    score: Tensor  # (B, L, D) q
    slice_pooled: Tensor  # (B, L, D) r
    teacher_total: Tensor  # (M, L, D) sum_S t, next to 1; without a teacher (0, L, D)


class Forward(Protocol):
    """The forward pass; with `keep` also what backward needs."""

    def __call__(
        self,
        store: Tensor,
        rows: Tensor,
        gate: Tensor,
        weight: Tensor,
        bias: Tensor,
        gaze: Gaze | None,
        *,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None, Kept | None]:
        """As `Pooled`, and what backward needs."""
        ...


class Backward(Protocol):
    """The backward pass."""

    def __call__(
        self,
        store: Tensor,
        rows: Tensor,
        gate: Tensor,
        gaze: Gaze | None,
        kept: Kept,
        pooled: Tensor,
        log_temporal: Tensor,
        d_pooled: Tensor,
        d_log_temporal: Tensor,
        d_spatial: Tensor | None,
        *,
        for_weight: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Gradients of gate (B, D), weight (D, D) if asked for, and bias (D,)."""
        ...


class Kernels(NamedTuple):
    """One device's way of pooling."""

    forward: Forward
    backward: Backward


def pool(
    kernels: Kernels,
    store: Tensor,
    rows: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor,
    gaze: Gaze | None,
) -> Pooled:
    """Pool with `kernels`; nothing is kept for backward where no gradient is wanted."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (gate, weight, bias)):
        pooled, log_temporal, spatial = _AttentionPool.apply(gate, weight, bias, store, rows, gaze, kernels)
        return pooled, log_temporal, spatial
    pooled, log_temporal, spatial, _ = kernels.forward(store, rows, gate, weight, bias, gaze, keep=False)
    return pooled, log_temporal, spatial


class _AttentionPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gate: Tensor,
        weight: Tensor,
        bias: Tensor,
        store: Tensor,
        rows: Tensor,
        gaze: Gaze | None,
        kernels: Kernels,
    ) -> Pooled:
        pooled, log_temporal, spatial, kept = kernels.forward(store, rows, gate, weight, bias, gaze, keep=True)
        assert kept is not None
        ctx.save_for_backward(store, rows, gate, pooled, log_temporal, *kept, *(gaze[1:] if gaze else ()))
        ctx.first = None if gaze is None else gaze.first
        ctx.kernels = kernels
        ctx.set_materialize_grads(False)
        return pooled, log_temporal, spatial

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_pooled: Tensor | None, d_log_temporal: Tensor | None, d_spatial: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        store, rows, gate, pooled, log_temporal, *saved = ctx.saved_tensors
        kept, teacher = saved[: len(Kept._fields)], saved[len(Kept._fields) :]
        for_gate, for_weight, for_bias = ctx.needs_input_grad[:3]
        d_gate, d_weight, d_bias = ctx.kernels.backward(
            store,
            rows,
            gate,
            None if ctx.first is None else Gaze(ctx.first, *teacher),
            Kept(*kept),
            pooled,
            log_temporal,
            torch.zeros_like(pooled) if d_pooled is None else d_pooled,
            torch.zeros_like(log_temporal) if d_log_temporal is None else d_log_temporal,
            d_spatial,
            for_weight=for_weight,
        )
        return (d_gate if for_gate else None, d_weight, d_bias if for_bias else None, *[None] * 4)
