"""Audio-guided attention pooling on an NVIDIA card: Triton kernels, forward and backward.

Shapes: B clips, L time slices, S tokens, D channels; M = B - maps_from clips whose spatial attention is wanted.
Formulas and names are those of `cpu.py`.

Forward is one program for each clip, slice and block of channels: it projects the slice's tokens block by block
and sums e, e P and e x over them, so that no array of the batch's size is written but P, where backward will
need it, and the maps asked for. Where their cross-entropy with a teacher's maps is asked for instead, P is written and
a kernel reads it and those. A small kernel does the temporal softmax and the pooling over slices. Backward reads P,
writes the gradient of the projection's argument in the type of the products, and multiplies it with the tokens where
they lie in the store. Sums are taken in a fixed order, so results repeat to the last bit; nothing waits for the device
and no shape depends on data, so the calls can be captured in a CUDA graph.

Tested through Triton's interpreter, which takes CPU tensors when TRITON_INTERPRET=1 is set before Triton is
imported, and compiled for compute capability 9.0; it has not run on a card. Where room is left: 196 tokens
fill 77% of the rows of a block of 256, and tiles are loaded by pointers rather than by the tensor memory
accelerator.
"""

import contextlib
import functools
import math
import os
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .autograd import Gaze, Kept, Kernels, Pooled, pool
from .triton_kernels import (
    CROSS_ENTROPY,
    MAPS,
    NOTHING,
    cross_entropy_forward,
    slice_backward,
    slice_forward,
    temporal_backward,
    temporal_forward,
    weight_backward,
)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def attention_pool_triton(
    store: Tensor, rows: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, gaze: Gaze | None
) -> Pooled:
    """Pooled tokens and attention; arguments as `attention_pool` has checked them.

    Nothing is kept for backward where no gradient is wanted. bfloat16 and float16 stores are multiplied in
    bfloat16; float32 ones as `torch.set_float32_matmul_precision` says, exactly by default. All sums are float32.
    """
    return pool(Kernels(_forward, _backward), store, rows, gate, weight, bias, gaze)


# Asked for by name, since Triton warns that its default will change: a multiplication and an addition are one.
_FUSED = {} if INTERPRETED else {"enable_fp_fusion": True}


class _Tiling(NamedTuple):
    """Types of the products and sizes of their blocks."""

    types: dict[str, Any]
    rows: int
    columns: int
    depth: int
    launch: dict[str, int]


def _tiling(store: Tensor) -> _Tiling:
    half = store.dtype != torch.float32
    operand = tl.bfloat16 if half else tl.float32
    exact = half or torch.get_float32_matmul_precision() == "highest"
    types = {
        "OPERAND": operand,
        # The interpreter multiplies bfloat16's bit patterns; products of bfloat16 are exact in float32 anyway.
        "DOT": tl.float32 if INTERPRETED else operand,
        "PRECISION": "ieee" if exact else "tf32",
    }
    if INTERPRETED:
        return _Tiling(types, 16, 16, 16, {})
    memory = _properties(store.device).shared_memory_per_block_optin
    # 196 tokens fill a block of 256 rows as well as two of 128, and the weight is then read once. Where it fits.
    tall = half and memory >= 200 * 1024 and store.shape[2] % 256 > 128
    rows = 256 if tall else 128
    stages = 4 if memory >= 160 * 1024 else 3
    return _Tiling(types, rows, 128, 64 if half else 32, {"num_warps": 8, "num_stages": stages, **_FUSED})


@functools.cache
def _properties(device: torch.device) -> Any:
    return torch.cuda.get_device_properties(device)


def _on(store: Tensor) -> contextlib.AbstractContextManager[object]:
    """Triton starts kernels on the current card: make it the store's."""
    return torch.cuda.device(store.device) if store.is_cuda else contextlib.nullcontext()


def _forward(
    store: Tensor,
    rows: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor,
    gaze: Gaze | None,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Kept | None]:
    batch, (_, slices, tokens, channels) = len(rows), store.shape
    tiling = _tiling(store)
    products = torch.float32 if store.dtype == torch.float32 else torch.bfloat16
    pooled = gate.new_empty((batch, channels))
    log_temporal = gate.new_empty((batch, slices, channels))
    wanted, first, teacher, teacher_rows = _of(gaze)
    of_gaze = batch - first if wanted else 0
    log_spatial = gate.new_empty((of_gaze if wanted == MAPS else 0, slices, tokens, channels))
    teacher_total, cross_entropy = gate.new_empty((2, of_gaze if wanted == CROSS_ENTROPY else 0, slices, channels))
    normaliser, score, slice_pooled = gate.new_empty((3, batch, slices, channels))
    write_projected = keep or wanted == CROSS_ENTROPY
    projected = gate.new_empty((batch if write_projected else 0, slices, tokens, channels), dtype=products)
    kept = Kept(projected, normaliser, score, slice_pooled, teacher_total)
    gate, bias = gate.contiguous(), bias.contiguous()
    if batch:
        with _on(store):
            slice_forward[(batch * slices * _blocks(channels, tiling.columns),)](
                store,
                rows.contiguous(),
                gate,
                weight.to(products).contiguous(),
                bias,
                projected,
                normaliser,
                score,
                slice_pooled,
                log_spatial,
                first,
                L=slices,
                S=tokens,
                D=channels,
                KEEP=write_projected,
                MAPS=wanted == MAPS,
                **tiling.types,
                BLOCK_S=tiling.rows,
                BLOCK_D=tiling.columns,
                BLOCK_K=tiling.depth,
                BLOCK_MAP=16,
                **tiling.launch,
            )
            block = _small_block(channels)
            if wanted == CROSS_ENTROPY and of_gaze:
                cross_entropy_forward[(of_gaze * slices, _blocks(channels, block))](
                    gate,
                    projected,
                    kept.normaliser,
                    teacher,
                    teacher_rows,
                    teacher_total,
                    cross_entropy,
                    first,
                    L=slices,
                    S=tokens,
                    D=channels,
                    BLOCK_S=16,
                    BLOCK_D=block,
                    **_FUSED,
                )
            temporal_forward[(batch, _blocks(channels, block))](
                gate,
                kept.score,
                kept.slice_pooled,
                pooled,
                log_temporal,
                L=slices,
                D=channels,
                BLOCK_L=triton.next_power_of_2(slices),
                BLOCK_D=block,
                **_FUSED,
            )
    spatial = log_spatial if wanted == MAPS else cross_entropy.sum((1, 2)) if wanted == CROSS_ENTROPY else None
    return pooled, log_temporal, spatial, kept if keep else None


def _of(gaze: Gaze | None) -> tuple[int, int, Tensor | None, Tensor | None]:
    """What is wanted of the spatial attention, from which clip on, and the teacher's maps with their rows."""
    if gaze is None:
        return NOTHING, 0, None, None
    if gaze.teacher is None or gaze.teacher_rows is None:
        return MAPS, gaze.first, None, None
    return CROSS_ENTROPY, gaze.first, gaze.teacher.contiguous(), gaze.teacher_rows.contiguous()


def _backward(
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
    batch, (_, slices, tokens, channels) = len(rows), store.shape
    tiling = _tiling(store)
    rows, gate = rows.contiguous(), gate.contiguous()
    wanted, first, teacher, teacher_rows = _of(None if d_spatial is None else gaze)
    by_p, by_x, offset, d_gate_by_slice, d_bias_by_slice = gate.new_empty((5, batch, slices, channels))
    d_gate = torch.empty_like(gate)
    d_pre = torch.empty_like(kept.projected)
    # Enough programs to fill the card about four times over, however few blocks dW has.
    out_blocks = _blocks(channels, tiling.rows) * _blocks(channels, tiling.columns)
    processors = 1 if INTERPRETED else _properties(store.device).multi_processor_count
    shares = max(1, min(batch, _blocks(4 * processors, out_blocks)))
    d_weight = gate.new_empty((shares if for_weight and batch else 0, channels, channels))
    if batch:
        block = _small_block(channels)
        with _on(store):
            temporal_backward[(batch, _blocks(channels, block))](
                gate,
                kept.normaliser,
                kept.score,
                kept.slice_pooled,
                pooled,
                log_temporal,
                d_pooled.contiguous(),
                d_log_temporal.contiguous(),
                by_p,
                by_x,
                offset,
                d_gate,
                L=slices,
                D=channels,
                BLOCK_L=triton.next_power_of_2(slices),
                BLOCK_D=block,
                **_FUSED,
            )
            slice_backward[(batch * slices, _blocks(channels, block))](
                store,
                rows,
                gate,
                kept.projected,
                kept.normaliser,
                by_p,
                by_x,
                offset,
                kept.teacher_total,
                gate if d_spatial is None else d_spatial.contiguous(),
                gate if teacher is None else teacher,
                rows if teacher_rows is None else teacher_rows,
                d_pre,
                d_gate_by_slice,
                d_bias_by_slice,
                first,
                L=slices,
                S=tokens,
                D=channels,
                GAZE=wanted,
                OPERAND=tiling.types["OPERAND"],
                BLOCK_S=16,
                BLOCK_D=block,
                **_FUSED,
            )
            if for_weight:
                weight_backward[(out_blocks, shares)](
                    store,
                    rows,
                    d_pre,
                    d_weight,
                    batch,
                    TOKENS=slices * tokens,
                    D=channels,
                    **tiling.types,
                    BLOCK_OUT=tiling.rows,
                    BLOCK_IN=tiling.columns,
                    BLOCK_T=tiling.depth,
                    **tiling.launch,
                )
    d_gate += d_gate_by_slice.sum(1)
    return d_gate, d_weight.sum(0) if for_weight else None, d_bias_by_slice.sum((0, 1))


def _blocks(size: int, block: int) -> int:
    return math.ceil(size / block)


def _small_block(channels: int) -> int:
    """Channels a program of the kernels without products takes."""
    return 16 if INTERPRETED else min(128, int(triton.next_power_of_2(channels)))
