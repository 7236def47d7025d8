"""Attention pooling for automatic differentiation, whichever kernels do the arithmetic.

Shapes: B clips, L time slices, S tokens, D channels; M = B - maps_from clips whose spatial attention is wanted.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Pooled = tuple[Tensor, Tensor, Tensor | None]
"""Pooled tokens (B, D), log temporal attention (B, L, D), log spatial attention (M, L, S, D) if asked for."""


class Kept(NamedTuple):
    """What forward leaves for backward."""

    projected: Tensor  # (B, L, S, D) P, in the type of the products
    normaliser: Tensor  # (B, L, D) Z
    score: Tensor  # (B, L, D) q
    slice_pooled: Tensor  # (B, L, D) r


class Forward(Protocol):
    """The forward pass; with `keep` also what backward needs."""

    def __call__(
        self,
        store: Tensor,
        rows: Tensor,
        gate: Tensor,
        weight: Tensor,
        bias: Tensor,
        maps_from: int | None,
        *,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None, Kept | None]:
        """Pooled tokens, log attention maps, and what backward needs."""
        ...


class Backward(Protocol):
    """The backward pass."""

    def __call__(
        self,
        store: Tensor,
        rows: Tensor,
        gate: Tensor,
        maps_from: int | None,
        kept: Kept,
        pooled: Tensor,
        log_temporal: Tensor,
        d_pooled: Tensor,
        d_log_temporal: Tensor,
        d_log_spatial: Tensor | None,
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
    maps_from: int | None,
) -> Pooled:
    """Pool with `kernels`; nothing is kept for backward where no gradient is wanted."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (gate, weight, bias)):
        pooled, log_temporal, log_spatial = _AttentionPool.apply(gate, weight, bias, store, rows, maps_from, kernels)
        return pooled, log_temporal, log_spatial
    pooled, log_temporal, log_spatial, _ = kernels.forward(store, rows, gate, weight, bias, maps_from, keep=False)
    return pooled, log_temporal, log_spatial


class _AttentionPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gate: Tensor,
        weight: Tensor,
        bias: Tensor,
        store: Tensor,
        rows: Tensor,
        maps_from: int | None,
        kernels: Kernels,
    ) -> Pooled:
        pooled, log_temporal, log_spatial, kept = kernels.forward(store, rows, gate, weight, bias, maps_from, keep=True)
        assert kept is not None
        ctx.save_for_backward(store, rows, gate, pooled, log_temporal, *kept)
        ctx.maps_from = maps_from
        ctx.kernels = kernels
        ctx.set_materialize_grads(False)
        return pooled, log_temporal, log_spatial

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_pooled: Tensor | None, d_log_temporal: Tensor | None, d_log_spatial: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        store, rows, gate, pooled, log_temporal, *kept = ctx.saved_tensors
        for_gate, for_weight, for_bias = ctx.needs_input_grad[:3]
        d_gate, d_weight, d_bias = ctx.kernels.backward(
            store,
            rows,
            gate,
            ctx.maps_from,
            Kept(*kept),
            pooled,
            log_temporal,
            torch.zeros_like(pooled) if d_pooled is None else d_pooled,
            torch.zeros_like(log_temporal) if d_log_temporal is None else d_log_temporal,
            d_log_spatial,
            for_weight=for_weight,
        )
        return (d_gate if for_gate else None, d_weight, d_bias if for_bias else None, *[None] * 4)
