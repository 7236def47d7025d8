"""Audio-guided attention pooling on a CPU: a few clips at a time, inside the processor's cache, backward by hand.

Shapes: B clips, L time slices, S tokens, D channels; M = B - maps_from clips whose spatial attention is wanted; n clips
that are worked on together, a group.

PyTorch's operations over a whole batch move some dozens of arrays of its size through memory. Here the tokens,
projection and exponentials of a few slices stay in the cache until all that needs them is done, in buffers that are
used again. What backward keeps is the projection P in the type of the products, (B, L, S, D), and three
(B, L, D) sums; a teacher's maps are met block by block, so that distilling them writes no map. Small clips are
gathered until a product is worth its call. The products that a clip goes through have the same shape, whichever other
clips are in the batch (`groups`), so that its outputs are the same to the last bit.

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
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .autograd import Gaze, Kept, Kernels, Pooled, pool
from .buffers import reusable_empty
from .groups import Group, groups_of, size_of_groups
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
    """Some slices of a group, (slices, S, D) each, in the type of the sums."""

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
    """One thread's buffers: a group's tokens for the products, a block of slices for everything else."""

    def __init__(self, store: Tensor, group: int) -> None:
        _, slices, tokens, channels = store.shape
        self.store = store
        self.group = group
        self.products, self.sums = _types(store)
        size = max(1, min(group * slices, BLOCK_BYTES // (tokens * channels * self.sums.itemsize)))
        self.blocks = [slice(start, min(start + size, group * slices)) for start in range(0, group * slices, size)]
        shape = 5, size, tokens, channels
        self._buffers = reusable_empty(shape, self.sums) if group > 1 else store.new_empty(shape, dtype=self.sums)
        self._gathered = store.new_empty((group if group > 1 else 0, *store.shape[1:]))
        converts = store.dtype != self.products
        self._operand = store.new_empty((group * slices if converts else 0, tokens, channels), dtype=self.products)
        if group > 1:  # rows that fill up a group are to be no numbers that are slow to multiply
            (self._operand if converts else self._gathered).zero_()

    def tokens(self, rows: Tensor) -> Tensor:
        """Tokens (n L, S, D) of the clips in these rows (n,) of the store, as they are stored; one clip's uncopied."""
        if self.group == 1:
            return self.store[int(rows)]
        return torch.index_select(self.store, 0, rows, out=self._gathered[: len(rows)]).flatten(0, 1)

    def operand(self, tokens: Tensor) -> Tensor:
        """What `tokens` gave last, (rows, D) in the type of the products, filled up to a whole group's rows."""
        if self.store.dtype != self.products:
            # PyTorch turns float16 into bfloat16 one number at a time, but either into or from float32 many.
            for block in self.blocks:
                part = tokens[block]
                self._operand[block][: len(part)] = self._converted(part, 0)
            tokens = self._operand
        elif self.group > 1:
            tokens = self._gathered
        return tokens.view(-1, tokens.shape[-1])

    def block(self, tokens: Tensor, projected: Tensor, gate: Tensor, *, keep_scores: bool = False) -> "_Block":
        """What a block is worked out from, in as few buffers as will do: what they hold is to stay in the cache.

        `gate` is (slices or 1, 1, D).
        """
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


def _group_size(store: Tensor) -> int:
    """How many of the store's clips are worked on together."""
    slices, tokens, channels = store.shape[1:]
    return size_of_groups(slices, tokens, channels, BLOCK_BYTES, _types(store)[1].itemsize)


class _Watched(NamedTuple):
    """A clip of a block that is among the M clips, and its part of the block."""

    number: int
    """Which of the M clips it is."""
    within: slice
    """Its slices that are in the block, as slices of the clip."""
    here: slice
    """The same as slices of the block."""


def _watched(of: Group, block: slice, first: int, slices: int) -> Iterator[_Watched]:
    """The clips from `first` on in a block of a group."""
    for clip in range(max(of.clips.start, first), of.clips.stop):
        start = (clip - of.clips.start) * slices  # of the clip in its group
        begin, end = max(start, block.start), min(start + slices, block.stop)
        if begin < end:
            yield _Watched(
                clip - first, slice(begin - start, end - start), slice(begin - block.start, end - block.start)
            )


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
    size = _group_size(store)
    weight = packed(weight.to(products), size * slices * tokens)
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
    maps = _teacher_maps(gaze)

    def work(numbers: range) -> None:
        space = _Workspace(store, size)
        own_sums = gate.new_empty((3, size * slices, channels))
        for group in groups_of(numbers, size, batch, slices):
            clips, count = group.clips, len(group) * slices
            stored = space.tokens(rows[clips])  # (n L, S, D)
            projected = tanh_linear(space.operand(stored), weight, bias).view(-1, tokens, channels)[:count]
            sums_of_group = [kept_sums.flatten(0, 1)[group.slices] for kept_sums in (normaliser, score, slice_pooled)]
            z, q, r = sums_of_group if keep else own_sums[:, :count]  # (n L, D) each
            g = _for_slices(gate[clips], slices)
            for block in space.blocks:
                of = space.block(stored[block], projected[block], g[block], keep_scores=clips.stop > first)
                torch.sum(of.e, 1, out=z[block])
                torch.sum(torch.mul(of.e, of.p, out=of.over_p), 1, out=q[block])
                torch.sum(torch.mul(of.e, of.x, out=of.over_x), 1, out=r[block])
                for number, within, here in _watched(group, block, first, slices):
                    log_z = z[block][here].log()  # (slices, D)
                    scores = of.scores[here]
                    if log_spatial is not None:
                        torch.sub(scores.mul_(math.log(2)), log_z.unsqueeze(1), out=log_spatial[number, within])
                    if cross_entropy is not None:
                        t = of.free[here].copy_(maps[number][within])  # (slices, S, D)
                        total = torch.sum(t, 1, out=teacher_total[number, within])  # (slices, D)
                        torch.sum(log_z.mul_(total), 1, out=cross_entropy[number, within])
                        cross_entropy[number, within].sub_(t.mul_(scores).sum((1, 2)), alpha=math.log(2))
            q.div_(z)
            r.div_(z)
            log_u = (q * g.squeeze(1)).view(-1, slices, channels)
            log_u = torch.log_softmax(log_u, 1, out=log_temporal[clips])  # (n, L, D)
            torch.sum(log_u.exp().mul_(r.view(-1, slices, channels)), 1, out=pooled[clips])
            if kept is not None:
                kept.projected.flatten(0, 1)[group.slices] = projected

    share(work, -(-batch // size), divided=size == 1)
    spatial = cross_entropy.sum(1) if cross_entropy is not None else log_spatial
    return pooled, log_temporal, spatial, kept


def _for_slices(gate: Tensor, slices: int) -> Tensor:
    """The gates (n, D) of some clips for each of their slices. (n L, 1, D)"""
    return gate.unsqueeze(1).expand(-1, slices, -1).reshape(-1, 1, gate.shape[-1])


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
    batch = len(rows)
    slices, tokens, channels = store.shape[1:]
    size = _group_size(store)
    d_gate = torch.empty_like(gate)
    first = batch if gaze is None or d_spatial is None else gaze.first
    maps = _teacher_maps(gaze)
    factors = [-factor for factor in d_spatial.tolist()] if maps and d_spatial is not None else []

    def work(numbers: range) -> tuple[Tensor | None, Tensor]:
        space = _Workspace(store, size)
        d_weight = gate.new_zeros((channels, channels)) if for_weight else None
        part = gate.new_empty((channels, channels), dtype=space.products)
        d_pre_of_group = store.new_empty((size * slices, tokens, channels), dtype=space.products)
        by_slice = gate.new_empty((2, size * slices, channels))
        d_bias = gate.new_zeros(channels)
        for group in groups_of(numbers, size, batch, slices):
            clips, count = group.clips, len(group) * slices
            d_gate_by_slice, d_bias_by_slice = by_slice[:, :count]
            d_pre = d_pre_of_group[:count]
            z, q, r = kept.normaliser[clips], kept.score[clips], kept.slice_pooled[clips]  # (n, L, D) each
            u = log_temporal[clips].exp()  # (n, L, D)
            d_r = u * d_pooled[clips].unsqueeze(1)
            d_log_u = d_log_temporal[clips]
            # d_score (n, L, D) is the gradient of q g
            d_score = d_r * (r - pooled[clips].unsqueeze(1)) - u * d_log_u.sum(1, keepdim=True) + d_log_u
            d_q = d_score * gate[clips].unsqueeze(1)
            torch.sum(d_score * q, 1, out=d_gate[clips])
            c = d_q * q + d_r * r
            for clip in range(max(clips.start, first), clips.stop):
                if maps:
                    c[clip - clips.start].add_(kept.teacher_total[clip - first], alpha=factors[clip - first])
                elif d_spatial is not None:
                    c[clip - clips.start] += d_spatial[clip - first].sum(1)
            # 1/Z goes into these factors, so that e need not be divided.
            by_p, by_x, offset = (
                tensor.div_(z).view(-1, 1, channels) for tensor in (d_q, d_r, c.neg_())
            )  # (n L, 1, D) each
            g = _for_slices(gate[clips], slices)
            stored = space.tokens(rows[clips])
            projected = kept.projected.flatten(0, 1)[group.slices]
            for block in space.blocks:
                of = space.block(stored[block], projected[block], g[block])
                d = torch.addcmul(offset[block], of.x, by_x[block], out=of.over_x)  # (slices, S, D)
                d.addcmul_(of.p, by_p[block]).mul_(of.e)
                for number, within, here in _watched(group, block, first, slices):
                    if maps:
                        d[here].add_(space.widened(maps[number][within], of.free[here]), alpha=factors[number])
                    elif d_spatial is not None:
                        d[here].add_(space.widened(d_spatial[number, within], of.free[here]))
                # d is the gradient of P g
                torch.sum(torch.mul(d, of.p, out=of.free), 1, out=d_gate_by_slice[block])
                d.mul_(g[block]).addcmul_(of.e, by_p[block])  # and now of P
                torch.ops.aten.tanh_backward.grad_input(d, of.p, grad_input=d)
                torch.sum(d, 1, out=d_bias_by_slice[block])
                d_pre[block] = d
            d_gate[clips] += d_gate_by_slice.view(-1, slices, channels).sum(1)
            d_bias += d_bias_by_slice.sum(0)
            if d_weight is not None:
                operand = space.operand(stored)[: count * tokens]
                d_weight += transposed_product(d_pre.view(-1, channels), operand, out=part)
        return d_weight, d_bias

    d_weights, d_biases = zip(*share(work, -(-batch // size), divided=size == 1), strict=True)
    d_weight = torch.stack(d_weights).sum(0) if for_weight else None
    return d_gate, d_weight, torch.stack(d_biases).sum(0)
