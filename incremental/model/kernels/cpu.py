"""Audio-guided attention pooling on a CPU: clip by clip, inside the processor's cache, backward by hand.

Shapes: B clips, L time slices, S tokens, D channels; M = B - maps_from clips whose spatial attention is wanted.

PyTorch's operations over a whole batch move some dozens of arrays of its size through memory. Here the tokens,
projection and exponentials of a few slices stay in the cache until all that needs them is done, in buffers made
once a call. What backward keeps is the projection P in the type of the products, (B, L, S, D), and three
(B, L, D) sums; a teacher's maps are met block by block, so that distilling them writes no map. Every clip goes through
the same operations over the same shapes, whichever other clips are in the batch, so that its outputs are the same to
the last bit.

With e = exp(P g), Z = sum_S e: the spatial attention is w = e / Z; a score lies within -1..1, so the softmax
needs no maximum taken off. q = sum_S w P and r = sum_S w x give u = softmax_L(q g) and pooled = sum_L u r.
Backward, with d(.) for the gradient of the loss:

    d(q g) = u (dpooled (r - pooled) - sum_L dlog_u) + dlog_u
    dq = g d(q g)                        dr = u dpooled
    d(P g) = w (dq P + dr x - c) + dlog_w,    c = dq q + dr r + sum_S dlog_w
    dP = dq w + g d(P g)                 dpre = dP (1 - P^2)
    dW = sum dpre^T x                    db = sum dpre
    dg = sum_L d(q g) q + sum_(L, S) d(P g) P

Of the cross-entropy -sum t log w with a teacher's maps t comes dlog_w = -t times its gradient.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .autograd import Gaze, Kept, Kernels, Pooled, pool
from .buffers import reusable_empty
from .products import packed, product_type, tanh_linear, transposed_product
from .team import share

BLOCK_BYTES = 2560 * 1024
"""Elementwise work goes through so many bytes of a (slices, S, D) buffer at a time: little enough for the cache to
hold the few buffers in use, enough for an operation to take long against the cost of calling it."""


def attention_pool_cpu(
    store: Tensor, rows: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, gaze: Gaze | None
) -> Pooled:
    """Pooled tokens and attention; arguments as `attention_pool` has checked them.

    Nothing is kept for backward where no gradient is wanted. Float16 and bfloat16 tokens are multiplied as
    `product_type` says; all sums, exponentials and gradients are float32. A float64 store makes everything
    float64.
    """
    return pool(Kernels(_forward, _backward), store, rows, gate, weight, bias, gaze)


class _Block(NamedTuple):
    """Some slices of a clip, (slices, S, D) each, in the type of the sums."""

    x: Tensor
    p: Tensor
    scores: Tensor
    """P g / ln 2, where they are kept."""
    e: Tensor
    """exp(P g)"""
    free: Tensor
    """A buffer."""
    over_x: Tensor
    """A buffer for what comes of x: x's own, where x is a copy and not the store."""
    over_p: Tensor
    """The same for P; it may be `free`."""


class _Workspace:
    """One thread's buffers: a clip's tokens for the products, a block of slices for everything else."""

    def __init__(self, store: Tensor) -> None:
        _, slices, tokens, channels = store.shape
        self.store = store
        self.products, self.sums = _types(store)
        size = max(1, min(slices, BLOCK_BYTES // (tokens * channels * self.sums.itemsize)))
        self.blocks = [slice(start, min(start + size, slices)) for start in range(0, slices, size)]
        self._buffers = store.new_empty((5, size, tokens, channels), dtype=self.sums)
        converts = store.dtype != self.products
        self._operand = store.new_empty((slices if converts else 0, tokens, channels), dtype=self.products)

    def operand(self, row: int) -> Tensor:
        """A clip's tokens (L * S, D) in the type of the products; no copy where they are stored so."""
        clip = self.store[row]  # (L, S, D)
        if self.store.dtype != self.products:
            # PyTorch turns float16 into bfloat16 one number at a time, but either into or from float32 many.
            for block in self.blocks:
                self._operand[block] = self._converted(clip[block], 0)
            clip = self._operand
        return clip.view(-1, clip.shape[-1])

    def block(self, tokens: Tensor, projected: Tensor, gate: Tensor, *, keep_scores: bool = False) -> "_Block":
        """What a block is worked out from, in as few buffers as will do: what they hold is to stay in the cache."""
        scores, second, third = self._buffers[2:, : len(tokens)]
        p = self._converted(projected, 1)
        torch.mul(p, gate / math.log(2), out=scores)
        e, free = (second, third) if keep_scores else (scores, second)
        torch.exp2(scores, out=e)  # four times as fast as `torch.exp`, and no less exact
        x = self._converted(tokens, 0)
        return _Block(x, p, scores, e, free, third if x is tokens else x, free if p is projected else p)

    def widened(self, block: Tensor, buffer: Tensor) -> Tensor:
        """A block in the type of the sums: itself, or a copy in `buffer`."""
        return block if block.dtype == self.sums else buffer.copy_(block)

    def _converted(self, block: Tensor, buffer: int) -> Tensor:
        return self.widened(block, self._buffers[buffer, : len(block)])


def _types(store: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Types of the products and of the sums."""
    return product_type(store.dtype), torch.float64 if store.dtype == torch.float64 else torch.float32


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
    batch, clip_shape = len(rows), store.shape[1:]
    slices, tokens, channels = clip_shape
    products, sums = _types(store)
    weight = packed(weight.to(products), slices * tokens)
    pooled = gate.new_empty((batch, channels))
    log_temporal = gate.new_empty((batch, slices, channels))
    first = batch if gaze is None else gaze.first
    with_teacher = gaze is not None and gaze.teacher is not None
    log_spatial = cross_entropy = None
    if with_teacher:
        cross_entropy = gate.new_empty((batch - first, slices))  # added up over the slices at the end
    elif gaze is not None:
        log_spatial = reusable_empty((batch - first, slices, tokens, channels), sums)
    normaliser, score, slice_pooled = gate.new_empty((3, batch if keep else 0, slices, channels))
    teacher_total = gate.new_empty((batch - first if with_teacher else 0, slices, channels))
    kept = None
    if keep:
        kept = Kept(reusable_empty((batch, *clip_shape), products), normaliser, score, slice_pooled, teacher_total)
    positions = rows.tolist()
    maps = _teacher_maps(gaze)

    def work(clips: range) -> None:
        space = _Workspace(store)
        sums_of_clip = gate.new_empty((3, slices, channels))
        for clip in clips:
            row, g = positions[clip], gate[clip]
            projected = tanh_linear(space.operand(row), weight, bias).view(clip_shape)
            z, q, r = (normaliser[clip], score[clip], slice_pooled[clip]) if keep else sums_of_clip  # (L, D) each
            for block in space.blocks:
                of = space.block(store[row, block], projected[block], g, keep_scores=clip >= first)
                torch.sum(of.e, 1, out=z[block])
                torch.sum(torch.mul(of.e, of.p, out=of.over_p), 1, out=q[block])
                torch.sum(torch.mul(of.e, of.x, out=of.over_x), 1, out=r[block])
                if clip < first:
                    continue
                log_z = z[block].log()  # (slices, D)
                if log_spatial is not None:
                    torch.sub(of.scores.mul_(math.log(2)), log_z.unsqueeze(1), out=log_spatial[clip - first, block])
                if cross_entropy is not None:
                    t = of.free.copy_(maps[clip - first][block])  # (slices, S, D)
                    total = torch.sum(t, 1, out=teacher_total[clip - first, block])  # (slices, D)
                    torch.sum(log_z.mul_(total), 1, out=cross_entropy[clip - first, block])
                    cross_entropy[clip - first, block].sub_(t.mul_(of.scores).sum((1, 2)), alpha=math.log(2))
            q.div_(z)
            r.div_(z)
            log_u = torch.log_softmax(q * g, 0, out=log_temporal[clip])  # (L, D)
            torch.sum(log_u.exp().mul_(r), 0, out=pooled[clip])
            if kept is not None:
                kept.projected[clip] = projected

    share(work, batch)
    spatial = cross_entropy.sum(1) if cross_entropy is not None else log_spatial
    return pooled, log_temporal, spatial, kept


def _teacher_maps(gaze: Gaze | None) -> list[Tensor]:
    """The teacher's maps (L, S, D) of each of the M clips."""
    if gaze is None or gaze.teacher is None or gaze.teacher_rows is None:
        return []
    return [gaze.teacher[row] for row in gaze.teacher_rows.tolist()]


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
    slices, _, channels = store.shape[1:]
    d_gate = torch.empty_like(gate)
    first = len(rows) if gaze is None or d_spatial is None else gaze.first
    maps = _teacher_maps(gaze)
    positions = rows.tolist()

    def work(clips: range) -> tuple[Tensor | None, Tensor]:
        space = _Workspace(store)
        d_weight = gate.new_zeros((channels, channels)) if for_weight else None
        part = gate.new_empty((channels, channels), dtype=space.products)
        d_pre = store.new_empty(store.shape[1:], dtype=space.products)
        d_gate_by_slice, d_bias_by_slice = gate.new_empty((2, slices, channels))
        d_bias = gate.new_zeros(channels)
        for clip in clips:
            row, g = positions[clip], gate[clip]
            z, q, r = kept.normaliser[clip], kept.score[clip], kept.slice_pooled[clip]  # (L, D) each
            u = log_temporal[clip].exp()  # (L, D)
            d_r = u * d_pooled[clip]
            d_log_u = d_log_temporal[clip]
            d_score = d_r * (r - pooled[clip]) - u * d_log_u.sum(0) + d_log_u  # (L, D), of q g
            d_q = d_score * g
            torch.sum(d_score * q, 0, out=d_gate[clip])
            c = d_q * q + d_r * r
            d_log_w, factor = None, 1.0  # dlog_w (L, S, D), but for a factor
            if d_spatial is not None and clip >= first:
                if maps:
                    d_log_w, factor = maps[clip - first], -float(d_spatial[clip - first])
                    c.add_(kept.teacher_total[clip - first], alpha=factor)
                else:
                    d_log_w = d_spatial[clip - first]
                    c += d_log_w.sum(1)
            # 1/Z goes into these factors, so that e need not be divided.
            by_p, by_x, offset = (tensor.div_(z).unsqueeze(1) for tensor in (d_q, d_r, c.neg_()))  # (L, 1, D)
            for block in space.blocks:
                of = space.block(store[row, block], kept.projected[clip, block], g)
                d = torch.addcmul(offset[block], of.x, by_x[block], out=of.over_x)  # (slices, S, D)
                d.addcmul_(of.p, by_p[block]).mul_(of.e)
                if d_log_w is not None:
                    d.add_(space.widened(d_log_w[block], of.free), alpha=factor)
                # d is the gradient of P g
                torch.sum(torch.mul(d, of.p, out=of.free), 1, out=d_gate_by_slice[block])
                d.mul_(g).addcmul_(of.e, by_p[block])  # and now of P
                torch.ops.aten.tanh_backward.grad_input(d, of.p, grad_input=d)
                torch.sum(d, 1, out=d_bias_by_slice[block])
                d_pre[block] = d
            d_gate[clip] += d_gate_by_slice.sum(0)
            d_bias += d_bias_by_slice.sum(0)
            if d_weight is not None:
                d_weight += transposed_product(d_pre.view(-1, channels), space.operand(row), out=part)
        return d_weight, d_bias

    d_weights, d_biases = zip(*share(work, len(rows)), strict=True)
    d_weight = torch.stack(d_weights).sum(0) if for_weight else None
    return d_gate, d_weight, torch.stack(d_biases).sum(0)
