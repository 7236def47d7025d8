"""What one Triton program does: the device code of `triton.py`, which says how it fits together.

Shapes: B clips, L time slices, S tokens, D channels. Arguments in lower case are pointers to contiguous arrays, or
numbers; those in capitals are fixed when a kernel is compiled. Offsets over the whole store or batch take 64 bits.
"""

# A kernel's arguments are whatever Triton's compiler makes of them; names of Python types may not stand beside them.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
# ruff: noqa: N803, N806

import triton
import triton.language as tl

NOTHING, MAPS, CROSS_ENTROPY = 0, 1, 2
"""What GAZE may ask of the spatial attention: nothing, log w, or -sum t log w with a teacher's maps t."""
WITH_MAPS, WITH_TEACHER = tl.constexpr(MAPS), tl.constexpr(CROSS_ENTROPY)


@triton.jit
def quarters(tile):
    """The four quarters of a tile's columns, from left to right."""
    left, right = halves(tile)
    first, second = halves(left)
    third, fourth = halves(right)
    return first, second, third, fourth


@triton.jit
def halves(tile):
    """The left and the right half of a tile's columns."""
    rows: tl.constexpr = tile.shape[0]
    columns: tl.constexpr = tile.shape[1]
    return tl.split(tl.permute(tl.reshape(tile, (rows, 2, columns // 2)), (0, 2, 1)))


@triton.jit
def pool_tokens(
    argument,
    s,
    d,
    x,
    gate,
    bias,
    p_out,
    map_out,
    with_map,
    z,
    q,
    r,
    S: tl.constexpr,
    D: tl.constexpr,
    KEEP: tl.constexpr,
    OPERAND: tl.constexpr,
):
    """z, q and r with a tile's sums of e, e P and e x added; P and its scores are written where wanted."""
    in_d = d < D
    inside = (s < S)[:, None] & in_d[None, :]
    at = s[:, None] * D + d[None, :]
    g = tl.load(gate + d, mask=in_d, other=0.0)
    b = tl.load(bias + d, mask=in_d, other=0.0)
    # tanh by its exponential form, which no sign or size of the argument upsets
    p_kept = (1.0 - 2.0 / (1.0 + tl.exp(2.0 * (argument + b[None, :])))).to(OPERAND)
    if KEEP:
        tl.store(p_out + at, p_kept, mask=inside)
    p = p_kept.to(tl.float32)  # as backward will see it
    scores = p * g[None, :]
    if with_map:
        tl.store(map_out + at, scores, mask=inside)
    e = tl.where(inside, tl.exp(scores), 0.0)
    tokens = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    return z + tl.sum(e, 0), q + tl.sum(e * p, 0), r + tl.sum(e * tokens, 0)


@triton.jit
def slice_forward(
    store,
    rows,
    gate,
    weight,
    bias,
    projected,
    normaliser,
    score,
    slice_pooled,
    log_spatial,
    first,
    L: tl.constexpr,
    S: tl.constexpr,
    D: tl.constexpr,
    KEEP: tl.constexpr,
    MAPS: tl.constexpr,
    OPERAND: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_MAP: tl.constexpr,
):
    """P, Z, q and r of one slice and block of channels; log w of it, if asked for.

    Channel blocks are numbered fastest: the programs that read the same tokens run at the same time, and find
    them in the second-level cache. After the product its tile is taken a quarter at a time, so that what a thread
    works on fits its registers.
    """
    channel_blocks: tl.constexpr = (D + BLOCK_D - 1) // BLOCK_D
    QUARTER: tl.constexpr = BLOCK_D // 4
    time_slice = (tl.program_id(0) // channel_blocks).to(tl.int64)  # of the batch, 0..B * L - 1
    clip = time_slice // L
    row = tl.load(rows + clip)
    x = store + (row * L + time_slice % L) * (S * D)
    p_out = projected + time_slice * (S * D)
    map_out = log_spatial + (time_slice - first * L) * (S * D)
    with_map = MAPS and clip >= first
    g = gate + clip * D
    d = tl.program_id(0) % channel_blocks * BLOCK_D + tl.arange(0, BLOCK_D)
    in_d = d < D
    d0 = tl.program_id(0) % channel_blocks * BLOCK_D + tl.arange(0, QUARTER)
    d1, d2, d3 = d0 + QUARTER, d0 + 2 * QUARTER, d0 + 3 * QUARTER
    none = tl.zeros((QUARTER,), tl.float32)
    z0, q0, r0 = none, none, none
    z1, q1, r1 = none, none, none
    z2, q2, r2 = none, none, none
    z3, q3, r3 = none, none, none
    for start in tl.static_range(0, S, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        total = tl.zeros((BLOCK_S, BLOCK_D), tl.float32)
        for k_start in range(0, D, BLOCK_K):
            k = k_start + tl.arange(0, BLOCK_K)
            in_k = k < D
            tokens = tl.load(x + s[:, None] * D + k[None, :], mask=(s < S)[:, None] & in_k[None, :], other=0.0)
            factors = tl.load(weight + d[None, :] * D + k[:, None], mask=in_d[None, :] & in_k[:, None], other=0.0)
            total = tl.dot(tokens.to(OPERAND).to(DOT), factors.to(DOT), total, input_precision=PRECISION)
        t0, t1, t2, t3 = quarters(total)
        z0, q0, r0 = pool_tokens(t0, s, d0, x, g, bias, p_out, map_out, with_map, z0, q0, r0, S, D, KEEP, OPERAND)
        z1, q1, r1 = pool_tokens(t1, s, d1, x, g, bias, p_out, map_out, with_map, z1, q1, r1, S, D, KEEP, OPERAND)
        z2, q2, r2 = pool_tokens(t2, s, d2, x, g, bias, p_out, map_out, with_map, z2, q2, r2, S, D, KEEP, OPERAND)
        z3, q3, r3 = pool_tokens(t3, s, d3, x, g, bias, p_out, map_out, with_map, z3, q3, r3, S, D, KEEP, OPERAND)
    z_out, q_out, r_out = normaliser + time_slice * D, score + time_slice * D, slice_pooled + time_slice * D
    store_sums(z_out, q_out, r_out, d0, z0, q0, r0, D)
    store_sums(z_out, q_out, r_out, d1, z1, q1, r1, D)
    store_sums(z_out, q_out, r_out, d2, z2, q2, r2, D)
    store_sums(z_out, q_out, r_out, d3, z3, q3, r3, D)
    if with_map:
        tl.debug_barrier()  # what threads of this program have written, others of them read now
        subtract_log(map_out, z_out, d, S, D, BLOCK_MAP)


@triton.jit
def store_sums(z_out, q_out, r_out, d, z, q, r, D: tl.constexpr):
    """Z, q and r from the sums of e, e P and e x over the tokens."""
    tl.store(z_out + d, z, mask=d < D)
    tl.store(q_out + d, q / tl.where(d < D, z, 1.0), mask=d < D)
    tl.store(r_out + d, r / tl.where(d < D, z, 1.0), mask=d < D)


@triton.jit
def subtract_log(map_out, z_out, d, S: tl.constexpr, D: tl.constexpr, BLOCK_MAP: tl.constexpr):
    """Scores become log w: log Z is taken off them where they lie."""
    in_d = d < D
    log_z = tl.log(tl.load(z_out + d, mask=in_d, other=1.0))
    for start in range(0, S, BLOCK_MAP):
        s = start + tl.arange(0, BLOCK_MAP)
        at = s[:, None] * D + d[None, :]
        inside = (s < S)[:, None] & in_d[None, :]
        scores = tl.load(map_out + at, mask=inside, other=0.0)
        tl.store(map_out + at, scores - log_z[None, :], mask=inside)


@triton.jit
def cross_entropy_forward(
    gate,
    projected,
    normaliser,
    teacher_maps,
    teacher_rows,
    teacher_total,
    cross_entropy,
    first,
    L: tl.constexpr,
    S: tl.constexpr,
    D: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """sum_S t and -sum_S t log w of one slice and block of channels of the clips from `first` on.

    P is read again rather than met in `slice_forward`, whose registers are all taken.
    """
    of_gaze = tl.program_id(0).to(tl.int64)  # 0..M * L - 1
    time_slice = of_gaze + first * L  # of the batch
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    in_d = d < D
    p_in = projected + time_slice * (S * D)
    teacher = teacher_maps + (tl.load(teacher_rows + of_gaze // L) * L + time_slice % L) * (S * D)
    g = tl.load(gate + time_slice // L * D + d, mask=in_d, other=0.0)
    total = tl.zeros((BLOCK_D,), tl.float32)
    with_scores = tl.zeros((BLOCK_D,), tl.float32)
    for start in range(0, S, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        at = s[:, None] * D + d[None, :]
        inside = (s < S)[:, None] & in_d[None, :]
        t = tl.load(teacher + at, mask=inside, other=0.0).to(tl.float32)
        p = tl.load(p_in + at, mask=inside, other=0.0).to(tl.float32)
        total += tl.sum(t, 0)
        with_scores += tl.sum(t * (p * g[None, :]), 0)
    log_z = tl.log(tl.load(normaliser + time_slice * D + d, mask=in_d, other=1.0))
    tl.store(teacher_total + of_gaze * D + d, total, mask=in_d)
    tl.store(cross_entropy + of_gaze * D + d, total * log_z - with_scores, mask=in_d)


@triton.jit
def temporal_forward(
    gate,
    score,
    slice_pooled,
    pooled,
    log_temporal,
    L: tl.constexpr,
    D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """log u and the pooled tokens of one clip and block of channels."""
    clip = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    slices = tl.arange(0, BLOCK_L)
    in_d = d < D
    inside = (slices < L)[:, None] & in_d[None, :]
    at = (clip * L + slices[:, None]) * D + d[None, :]
    g = tl.load(gate + clip * D + d, mask=in_d, other=0.0)
    scores = tl.load(score + at, mask=inside, other=0.0) * g[None, :]
    total = tl.sum(tl.where(inside, tl.exp(scores), 0.0), 0)  # scores lie within -1..1
    log_u = scores - tl.log(tl.where(in_d, total, 1.0))[None, :]
    r = tl.load(slice_pooled + at, mask=inside, other=0.0)
    tl.store(log_temporal + at, log_u, mask=inside)
    tl.store(pooled + clip * D + d, tl.sum(tl.exp(log_u) * r, 0), mask=in_d)


@triton.jit
def temporal_backward(
    gate,
    normaliser,
    score,
    slice_pooled,
    pooled,
    log_temporal,
    d_pooled,
    d_log_temporal,
    by_p,
    by_x,
    offset,
    d_gate,
    L: tl.constexpr,
    D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """dq / Z, dr / Z and (dq q + dr r) / Z of one clip and block of channels, and sum_L d(q g) q."""
    clip = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    slices = tl.arange(0, BLOCK_L)
    in_d = d < D
    inside = (slices < L)[:, None] & in_d[None, :]
    at = (clip * L + slices[:, None]) * D + d[None, :]
    of_clip = clip * D + d
    g = tl.load(gate + of_clip, mask=in_d, other=0.0)
    z = tl.load(normaliser + at, mask=inside, other=1.0)
    q = tl.load(score + at, mask=inside, other=0.0)
    r = tl.load(slice_pooled + at, mask=inside, other=0.0)
    u = tl.where(inside, tl.exp(tl.load(log_temporal + at, mask=inside, other=0.0)), 0.0)
    d_log_u = tl.load(d_log_temporal + at, mask=inside, other=0.0)
    mean_r = tl.load(pooled + of_clip, mask=in_d, other=0.0)
    d_r = u * tl.load(d_pooled + of_clip, mask=in_d, other=0.0)[None, :]
    d_score = d_r * (r - mean_r[None, :]) + d_log_u - u * tl.sum(d_log_u, 0)[None, :]
    d_q = d_score * g[None, :]
    tl.store(by_p + at, d_q / z, mask=inside)
    tl.store(by_x + at, d_r / z, mask=inside)
    tl.store(offset + at, (d_q * q + d_r * r) / z, mask=inside)
    tl.store(d_gate + of_clip, tl.sum(d_score * q, 0), mask=in_d)


@triton.jit
def slice_backward(
    store,
    rows,
    gate,
    projected,
    normaliser,
    by_p,
    by_x,
    offset,
    teacher_total,
    d_spatial,
    teacher_maps,
    teacher_rows,
    d_pre,
    d_gate,
    d_bias,
    first,
    L: tl.constexpr,
    S: tl.constexpr,
    D: tl.constexpr,
    GAZE: tl.constexpr,
    OPERAND: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Gradient of the projection's argument in one slice and block of channels; its share of db and dg."""
    time_slice = tl.program_id(0).to(tl.int64)
    clip = time_slice // L
    row = tl.load(rows + clip)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    in_d = d < D
    x_in = store + (row * L + time_slice % L) * (S * D)
    p_in = projected + time_slice * (S * D)
    out = d_pre + time_slice * (S * D)
    of_slice = time_slice * D + d
    gazed = tl.where(clip >= first, S, 0)
    of_gaze = tl.where(clip >= first, time_slice - first * L, 0)  # 0..M * L - 1
    g = tl.load(gate + clip * D + d, mask=in_d, other=0.0)
    p_factor = tl.load(by_p + of_slice, mask=in_d, other=0.0)
    x_factor = tl.load(by_x + of_slice, mask=in_d, other=0.0)
    c = tl.load(offset + of_slice, mask=in_d, other=0.0)
    # dlog w is what `map_in` holds, times a factor; its sum over the tokens belongs to the offset.
    map_in, factor = d_spatial, 1.0
    if GAZE == WITH_MAPS:
        map_in = d_spatial + of_gaze * (S * D)
        map_sum = tl.zeros((BLOCK_D,), tl.float32)
        for start in range(0, S, BLOCK_S):
            s = start + tl.arange(0, BLOCK_S)
            in_gaze = (s < gazed)[:, None] & in_d[None, :]
            map_sum += tl.sum(tl.load(map_in + s[:, None] * D + d[None, :], mask=in_gaze, other=0.0), 0)
        c += map_sum / tl.load(normaliser + of_slice, mask=in_d, other=1.0)
    if GAZE == WITH_TEACHER:
        teacher_row = tl.load(teacher_rows + of_gaze // L, mask=clip >= first, other=0)
        map_in = teacher_maps + (teacher_row * L + time_slice % L) * (S * D)
        factor = -tl.load(d_spatial + of_gaze // L, mask=clip >= first, other=0.0)
        total = tl.load(teacher_total + of_gaze * D + d, mask=d < tl.where(clip >= first, D, 0), other=0.0)
        c += factor * total / tl.load(normaliser + of_slice, mask=in_d, other=1.0)
    gate_sum = tl.zeros((BLOCK_D,), tl.float32)
    bias_sum = tl.zeros((BLOCK_D,), tl.float32)
    for start in range(0, S, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        at = s[:, None] * D + d[None, :]
        inside = (s < S)[:, None] & in_d[None, :]
        x = tl.load(x_in + at, mask=inside, other=0.0).to(tl.float32)
        p = tl.load(p_in + at, mask=inside, other=0.0).to(tl.float32)
        e = tl.where(inside, tl.exp(p * g[None, :]), 0.0)
        d_score = e * (p_factor[None, :] * p + x_factor[None, :] * x - c[None, :])  # of P g
        if GAZE:
            d_score += factor * tl.load(map_in + at, mask=(s < gazed)[:, None] & in_d[None, :], other=0.0).to(
                tl.float32
            )
        d_p = e * p_factor[None, :] + d_score * g[None, :]
        d_argument = d_p * (1.0 - p * p)
        gate_sum += tl.sum(d_score * p, 0)
        bias_sum += tl.sum(d_argument, 0)
        tl.store(out + at, d_argument.to(OPERAND), mask=inside)
    tl.store(d_gate + of_slice, gate_sum, mask=in_d)
    tl.store(d_bias + of_slice, bias_sum, mask=in_d)


@triton.jit
def weight_backward(
    store,
    rows,
    d_pre,
    d_weight,
    clips,
    TOKENS: tl.constexpr,
    D: tl.constexpr,
    OPERAND: tl.constexpr,
    DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_OUT: tl.constexpr,
    BLOCK_IN: tl.constexpr,
    BLOCK_T: tl.constexpr,
):
    """One block of dW (out, in), of every `num_programs(1)`-th clip; the shares are added later."""
    in_blocks: tl.constexpr = (D + BLOCK_IN - 1) // BLOCK_IN
    share = tl.program_id(1)
    o = tl.program_id(0) // in_blocks * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    i = tl.program_id(0) % in_blocks * BLOCK_IN + tl.arange(0, BLOCK_IN)
    total = tl.zeros((BLOCK_OUT, BLOCK_IN), tl.float32)
    for clip in range(share, clips, tl.num_programs(1)):
        x_in = store + tl.load(rows + clip) * (TOKENS * D)
        d_in = d_pre + tl.cast(clip, tl.int64) * (TOKENS * D)
        for start in range(0, TOKENS, BLOCK_T):
            t = start + tl.arange(0, BLOCK_T)
            gradients = tl.load(
                d_in + t[None, :] * D + o[:, None], mask=(t < TOKENS)[None, :] & (o < D)[:, None], other=0.0
            )
            tokens = tl.load(
                x_in + t[:, None] * D + i[None, :], mask=(t < TOKENS)[:, None] & (i < D)[None, :], other=0.0
            )
            total = tl.dot(gradients.to(DOT), tokens.to(OPERAND).to(DOT), total, input_precision=PRECISION)
    at = share.to(tl.int64) * (D * D) + o[:, None] * D + i[None, :]
    tl.store(d_weight + at, total, mask=(o < D)[:, None] & (i < D)[None, :])
