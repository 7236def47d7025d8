"""Audio-guided spatial and temporal attention pooling (eq. 2-4 of arXiv 2308.11073) as one operation.

Shapes: B clips, L time slices, S tokens, D channels; N resident clips; M = B - maps_from; K maps of a teacher.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .kernels import choose
from .kernels.autograd import Gaze
from .operations import count_linear


class AttentionPool(NamedTuple):
    """What attention pooling gives: float32, or float64 where the parameters are."""

    pooled: Tensor
    """(B, D) visual tokens pooled by both attentions, f'_v of eq. 4."""
    log_temporal: Tensor
    """(B, L, D) logarithm of the temporal attention u, a softmax over L for each channel."""
    log_spatial: Tensor | None
    """(M, L, S, D) logarithm of the spatial attention w, a softmax over S for each slice and channel, of the clips
    from `maps_from` on; None where `maps_from` is None or a teacher is given."""
    spatial_cross_entropy: Tensor | None = None
    """(M,) -sum over L, S and D of t log w of the same clips, t the teacher's spatial attention; None without one."""


class TeacherMaps(NamedTuple):
    """Spatial attention that M clips are held to, by reference."""

    maps: Tensor
    """(K, L, S, D) probabilities, of any float type."""
    rows: Tensor
    """(M,) int64, which of them belongs to each clip."""


def attention_pool(
    store: Tensor,
    rows: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    maps_from: int | None = None,
    teacher: TeacherMaps | None = None,
    implementation: Literal["auto", "plain", "cpu", "triton"] = "auto",
) -> AttentionPool:
    """Pool the tokens of clips `store[rows]` under the guidance of their audio gates.

        P = tanh(f_v W_v^T + b_v)                    projection
        w = softmax over S of P g                    spatial attention, eq. 2
        q = sum_S w P;  u = softmax over L of q g    temporal attention, eq. 3
        f'_v = sum_L u sum_S w f_v                   pooling of the raw tokens, eq. 4

    store: (N, L, S, D) resident clips, float32, bfloat16 or float16 (storage only on a CPU); indexed in place,
        no batch is gathered by the fused ways.
    rows: (B,) int64 positions in the store, in any order, repeats allowed. Checked on a CPU; on other devices a
        check would have to wait for the device, and positions outside the store are the caller's error.
    gate: (B, D) float32, g = tanh(f_a W_a^T + b_a).
    weight, bias: (D, D) as (out, in) and (D,), float32.
    maps_from: position in the batch from which on the spatial attention is given out; None for none of it.
    teacher: maps of the clips from `maps_from` on. Then their cross-entropy with the spatial attention is given out
        instead of the attention itself, which the fused ways never write: distillation at little cost.
    implementation: "cpu" and "triton" are fused, with a backward pass of their own; "plain" is the formulas above
        over the whole batch at once and in the type of the parameters, on any device; "auto" is the quickest that
        can.

    Gradients flow from all outputs to gate, weight and bias; to the store only in the plain way. In the
    fused ways the products are in the store's type (of float16 stores bfloat16, and float32 where the processor
    is not fast at bfloat16), all else float32, and a clip's outputs do not depend on the other clips of the batch.
    Nothing is kept for backward where no gradient is wanted. With float64 parameters and store "plain" and "cpu" work
    in float64.

    Raises ValueError for shapes, types or positions that do not fit and for a way that cannot serve the store,
    InputError for an unknown `implementation`.
    """
    _check(store, rows, gate, weight, bias, maps_from)
    if maps_from is None:
        if teacher is not None:
            raise ValueError("attention_pool: a teacher's maps need maps_from, the first clip that they belong to")
        gaze = None
    elif teacher is None:
        gaze = Gaze(maps_from)
    else:
        _check_teacher(teacher, store, len(rows) - maps_from)
        gaze = Gaze(maps_from, *teacher)
    slices, tokens = store.shape[1:3]
    count_linear(len(rows) * slices * tokens, weight, inputs_learn=False)
    chosen = choose(implementation, store)
    if chosen == "plain":
        return attention_pool_plain(store, rows, gate, weight, bias, maps_from=maps_from, teacher=teacher)
    # The device's kernels are imported when they are first used: Triton is not there on every machine.
    if chosen == "cpu":
        from .kernels.cpu import attention_pool_cpu as fused
    else:
        from .kernels.triton import attention_pool_triton as fused
    pooled, log_temporal, spatial = fused(store, rows, gate, weight, bias, gaze)
    if teacher is not None:
        return AttentionPool(pooled, log_temporal, None, spatial)
    return AttentionPool(pooled, log_temporal, spatial)


def attention_pool_plain(
    store: Tensor,
    rows: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    maps_from: int | None = None,
    teacher: TeacherMaps | None = None,
) -> AttentionPool:
    """`attention_pool` by its formulas in ordinary operations over the whole batch, in the type of the gate.

    The measure of the fused ways, in speed and in accuracy; every array of the batch's size is written out.
    """
    tokens = store[rows].to(gate.dtype)  # (B, L, S, D)
    projected = torch.tanh(tokens @ weight.t() + bias)  # (B, L, S, D)
    log_spatial = torch.log_softmax(projected * gate[:, None, None], 2)  # (B, L, S, D)
    spatial = log_spatial.exp()
    score = (spatial * projected).sum(2)  # (B, L, D)
    log_temporal = torch.log_softmax(score * gate[:, None], 1)  # (B, L, D)
    slices = (spatial * tokens).sum(2)  # (B, L, D)
    pooled = (log_temporal.exp() * slices).sum(1)  # (B, D)
    if teacher is not None:
        products = teacher.maps[teacher.rows].to(gate.dtype) * log_spatial[maps_from:]  # (M, L, S, D)
        return AttentionPool(pooled, log_temporal, None, -products.sum((1, 2, 3)))
    return AttentionPool(pooled, log_temporal, None if maps_from is None else log_spatial[maps_from:])


def _check(store: Tensor, rows: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, maps_from: int | None) -> None:
    if store.dim() != 4 or not store.is_contiguous() or 0 in store.shape[1:]:
        raise ValueError(
            f"attention_pool: the store must be contiguous (N, L, S, D), it is {_of(store)} with strides "
            f"{store.stride()}"
        )
    if rows.dim() != 1 or rows.dtype != torch.int64:
        raise ValueError(f"attention_pool: rows must be (B,) int64, they are {_of(rows)}")
    for name, tensor in {"rows": rows, "gate": gate, "weight": weight, "bias": bias}.items():
        if tensor.device != store.device:
            raise ValueError(f"attention_pool: {name} must be on {store.device} like the store, not {tensor.device}")
    clips, channels = len(rows), store.shape[-1]
    sums = torch.float64 if store.dtype == torch.float64 else torch.float32
    wanted = {"gate": (clips, channels), "weight": (channels, channels), "bias": (channels,)}
    for (name, shape), tensor in zip(wanted.items(), (gate, weight, bias), strict=True):
        if tensor.shape != shape or tensor.dtype != sums:
            raise ValueError(f"attention_pool: {name} must be {shape} {sums}, it is {_of(tensor)}")
    if maps_from is not None and not 0 <= maps_from <= clips:
        raise ValueError(f"attention_pool: maps_from must lie in 0..{clips}, it is {maps_from}")
    _check_rows("rows", rows, len(store))


def _check_teacher(teacher: TeacherMaps, store: Tensor, clips: int) -> None:
    maps, rows = teacher
    if maps.shape[1:] != store.shape[1:] or not maps.is_floating_point() or maps.device != store.device:
        raise ValueError(
            f"attention_pool: the teacher's maps must be (K, {', '.join(map(str, store.shape[1:]))}) on "
            f"{store.device}, they are {_of(maps)} on {maps.device}"
        )
    if rows.shape != (clips,) or rows.dtype != torch.int64 or rows.device != store.device:
        raise ValueError(
            f"attention_pool: the teacher's rows must be ({clips},) int64 on {store.device}, they are "
            f"{_of(rows)} on {rows.device}"
        )
    _check_rows("the teacher's rows", rows, len(maps))


def _check_rows(name: str, rows: Tensor, count: int) -> None:
    if rows.device.type == "cpu" and len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < count):
        raise ValueError(
            f"attention_pool: {name} must lie in 0..{count - 1}, they reach from {int(rows.min())} to {int(rows.max())}"
        )


def _of(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"
